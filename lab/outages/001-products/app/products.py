"""Product pages of a shop, with prices from another service. No connection in time is a 503."""
import time

from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError

from settings import engine

app = Flask(__name__)

# The price service of the laboratory takes so long to answer.
PRICE_SECONDS = 0.07

PRODUCT = text(
    "select name, description, pieces from product join stock on product_id = id where id = :id"
)
LIST = text("select id, name from product where id between :id and :id + 20 order by id")
LOOK = text("insert into look (product_id) values (:id)")


@app.get("/health")
def health():
    return "up\n"


@app.get("/product/<int:number>")
def product(number):
    with engine.begin() as connection:
        found = connection.execute(PRODUCT, {"id": number}).one()
        price = ask_price(number)
        connection.execute(LOOK, {"id": number})
    return f"{found.name}: {price} cents, {found.pieces} pieces\n{found.description}\n"


@app.get("/list/<int:number>")
def product_list(number):
    with engine.begin() as connection:
        rows = connection.execute(LIST, {"id": number}).all()
    return "".join(f"{row.id} {row.name}\n" for row in rows)


def ask_price(number):
    time.sleep(PRICE_SECONDS)
    return number * 100 - 1


@app.errorhandler(DBAPIError)
@app.errorhandler(TimeoutError)
def no_database(error):
    return "no answer from the database\n", 503
