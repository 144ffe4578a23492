"""The main website: a front page, articles with what is related to them, a search. No connection in time is a 503."""
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, TimeoutError

from settings import engine

app = Flask(__name__)

LATEST = text("select id, title from article order by id desc limit 20")
ARTICLE = text("select title, body from article where id = :id")
# Each word of the search is looked for in all texts: no index, as in many a young website.
RELATED = text("select id, title from article where body ilike :word order by length(body), id limit 5")
VISIT = text("insert into visit (article_id) values (:id)")


@app.get("/health")
def health():
    return "up\n"


@app.get("/front/<int:user>")
def front(user):
    with engine.begin() as connection:
        rows = connection.execute(LATEST).all()
    return "".join(f"{row.id} {row.title}\n" for row in rows)


@app.get("/article/<int:user>")
def article(user):
    with engine.begin() as connection:
        found = connection.execute(ARTICLE, {"id": user}).one()
        related = connection.execute(RELATED, {"word": f"%{found.body[:3]}%{found.body[40:42]}%"}).all()
        connection.execute(VISIT, {"id": user})
    return f"{found.title}\n{found.body}\nsee also {[row.id for row in related]}\n"


@app.get("/search/<int:user>")
def search(user):
    with engine.begin() as connection:
        rows = connection.execute(RELATED, {"word": f"%{user:03x}%{user % 89:02}%"}).all()
    return "".join(f"{row.id} {row.title}\n" for row in rows)


@app.errorhandler(DBAPIError)
@app.errorhandler(TimeoutError)
def no_database(error):
    return "no answer from the database\n", 503
