"""A web stack: parcels, and quotes of a carrier for sending them. No connection in time is a 503."""
import time

from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError

from settings import CARRIER_TIMEOUT_SECONDS, engine

app = Flask(__name__)

# The carrier of the laboratory answers in this time, except that it forgets one parcel in four.
CARRIER_SECONDS = 0.06
LIST_PRICE = 990

PARCEL = text("select id, weight_g, to_zone from parcel where id = :id")
QUOTES = text("select cents, at from quote where parcel_id = :id order by id desc limit 5")
QUOTE = text("insert into quote (parcel_id, cents) values (:id, :cents)")


@app.get("/health")
def health():
    return "up\n"


@app.get("/parcel/<int:number>")
def parcel(number):
    with engine.begin() as connection:
        found = connection.execute(PARCEL, {"id": number}).one()
        quotes = connection.execute(QUOTES, {"id": number}).all()
    return f"{found.weight_g} g to zone {found.to_zone}: {[row.cents for row in quotes]}\n"


@app.post("/quote/<int:number>")
def quote(number):
    with engine.begin() as connection:
        found = connection.execute(PARCEL, {"id": number}).one()
        cents = ask_carrier(found, CARRIER_TIMEOUT_SECONDS) or LIST_PRICE
        connection.execute(QUOTE, {"id": number, "cents": cents})
    return f"{cents} cents\n"


def ask_carrier(found, timeout):
    """What the carrier wants for it; nothing when it does not say so in time."""
    if found.id % 4 == 0:
        time.sleep(timeout)
        return None
    time.sleep(CARRIER_SECONDS)
    return found.weight_g + 100 * found.to_zone


@app.errorhandler(DBAPIError)
@app.errorhandler(TimeoutError)
def no_database(error):
    return "no answer from the database\n", 503
