"""A small shop over SQLAlchemy and psycopg. `SEED` names the bug that it has today."""

import contextlib
import os
import threading

import psycopg
import psycopg2
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

URL = os.environ["DATABASE_URL"]
SQLALCHEMY_URL = "postgresql+psycopg://" + URL.split("://", 1)[1]
SEED = os.environ.get("SEED", "")

engine = create_engine(SQLALCHEMY_URL, pool_size=3, max_overflow=7)
autocommit = create_engine(SQLALCHEMY_URL, isolation_level="AUTOCOMMIT", pool_size=2)
_pool = None


def pool():
    """psycopg's own pool, for the part of the shop that is older than SQLAlchemy."""
    global _pool
    if _pool is None:
        _pool = ConnectionPool(URL, min_size=1, max_size=4, open=True)
    return _pool


def shut_down():
    if _pool is not None:
        _pool.close()
    engine.dispose()
    autocommit.dispose()


SCHEMA = """
drop table if exists orders;
create table orders (id serial primary key, customer text not null, total int not null, token text unique);
insert into orders (customer, total, token)
select 'customer ' || n, n * 10, 'marker-in-data-' || n from generate_series(1, 50) n;
"""


def create():
    with engine.begin() as connection:
        for statement in SCHEMA.strip().split(";"):
            if statement.strip():
                connection.execute(text(statement))


# --- the healthy part ---


def count():
    with engine.connect() as connection:
        return connection.execute(text("select count(*) from orders")).scalar()


def place(customer, total):
    with Session(engine) as session, session.begin():
        session.execute(
            text("insert into orders (customer, total) values (:c, :t)"), {"c": customer, "t": total}
        )


# --- where the bugs are ---

REPORTS = []


def monthly_report():
    """Kept for the next page of it; the session, too."""
    session = Session(engine)
    rows = session.execute(text("select customer, sum(total) from orders group by customer"))
    page = rows.fetchmany(10)
    if SEED == "session_not_closed":
        REPORTS.append((session, rows))
    else:
        session.close()
    return page


class Importer:
    """Loads orders from a file."""

    running = []

    def __init__(self):
        self.connection = engine.connect()
        Importer.running.append(self)

    def load(self, rows):
        for customer, total in rows:
            if total < 0:
                if SEED == "early_return":
                    return False
                break
            self.connection.execute(
                text("insert into orders (customer, total) values (:c, :t)"), {"c": customer, "t": total}
            )
        self.connection.rollback()
        self.connection.close()
        return True


BADGES = {}


def badge(customer):
    """Caches the cursor, for speed."""
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("select id from orders where customer = %s and token <> 'marker-in-statement'", (customer,))
    found = cursor.fetchone()
    if SEED == "raw_connection":
        BADGES[customer] = (raw, cursor)
    else:
        cursor.close()
        raw.close()
    return found


RETRY = []


def redeem(token):
    """A token counts once."""
    session = Session(engine)
    try:
        session.execute(text("insert into orders (customer, total, token) values ('x', 1, :t)"), {"t": token})
        session.commit()
        session.close()
        return True
    except IntegrityError:
        if SEED == "error_path":
            RETRY.append(session)
            return False
        session.rollback()
        session.close()
        return False


WATCHED = []


def watch_stock():
    """Reads outside transactions, so as to block nobody."""
    connection = autocommit.connect()
    total = connection.execute(text("select sum(total) from orders")).scalar()
    if SEED == "autocommit_not_returned":
        WATCHED.append(connection)
    else:
        connection.close()
    return total


EXPORTS = []


def orders_from(start):
    """All of them, one by one."""
    with engine.connect() as connection:
        result = connection.execution_options(stream_results=True).execute(
            text("select id, customer from orders where id >= :start order by id"), {"start": start}
        )
        yield from result


def first_order(start):
    rows = orders_from(start)
    first = next(rows)
    if SEED == "generator_not_exhausted":
        EXPORTS.append(rows)
    else:
        rows.close()
    return first


def discount(customer):
    """Through psycopg's pool."""
    connection = pool().getconn()
    row = connection.execute("select max(total) from orders where customer = %s", (customer,)).fetchone()
    connection.commit()
    if row[0] is None and SEED == "pool_getconn":
        return 0
    pool().putconn(connection)
    return row[0] or 0


LEGACY = {}


def legacy_price(number):
    """From before there was a pool."""
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select total from orders where id = %s", (number,))
        price = cursor.fetchone()[0]
    if SEED == "connection_per_call":
        LEGACY[number] = connection
    else:
        connection.close()
    return price


KEPT = []


def audit():
    """In the background."""
    found = []

    def work():
        connection = psycopg.connect(URL, autocommit=True)
        found.append(connection.execute("select count(*) from orders where total > 10").fetchone()[0])
        if SEED == "thread_not_closed":
            KEPT.append(connection)
        else:
            connection.close()

    thread = threading.Thread(target=work, name="audit")
    thread.start()
    thread.join()
    return found[0]


def compare(customers):
    """One connection for each customer at once; it should be one for all."""
    with contextlib.ExitStack() as stack:
        totals = []
        connection = None
        for customer in customers:
            if connection is None or SEED == "pool_outgrown":
                connection = stack.enter_context(engine.connect())
            totals.append(
                connection.execute(
                    text("select sum(total) from orders where customer = :c"), {"c": customer}
                ).scalar()
            )
        return totals


async def async_summary():
    from sqlalchemy.ext.asyncio import create_async_engine

    asynchronous = create_async_engine("postgresql+asyncpg://" + URL.split("://", 1)[1], pool_size=2)
    connection = await asynchronous.connect()
    total = (await connection.execute(text("select avg(total) from orders"))).scalar()
    if SEED == "async_not_closed":
        # Out of the pool's reach: disposing of it closes what is in it.
        KEPT.append(connection)
    else:
        await connection.close()
    await asynchronous.dispose()
    return total
