"""SQLAlchemy with psycopg and with asyncpg: what of the checklist of README.md it has itself."""
import asyncio
import ssl
from os import environ as env

from sqlalchemy import URL, Column, Integer, MetaData, Table, Text, create_engine, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

URL_PARTS = dict(username=env["PGUSER"], password=env["PGPASSWORD"], host=env["PGHOST"], port=int(env["PGPORT"]),
                 database=env["PGDATABASE"])
TABLE = Table("checklist_alchemy", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text))
LARGE = text("select repeat('x', 262144) from generate_series(1, 64)")


def told(error):
    cause = error.orig
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def work(conn):
    """With a connection that looks the same under both engines."""
    print("connected as", conn.scalar(text("select current_user")))
    TABLE.drop(conn, checkfirst=True)
    TABLE.create(conn)
    conn.commit()
    print("prepared", *(conn.scalar(text("select cast(:a as int) + cast(:b as int)"), {"a": n, "b": 2}) for n in range(20)))
    given = conn.execute(insert(TABLE).returning(TABLE.c.id), [{"id": n, "name": f"name {n}"} for n in range(1000)])
    print("rows in", len(given.all()))
    try:
        with conn.begin_nested():
            conn.execute(insert(TABLE), {"id": 1, "name": "again"})
    except IntegrityError as error:
        print("error", told(error), conn.scalar(select(TABLE.c.name).where(TABLE.c.id == 1)))
    conn.commit()
    try:
        conn.execute(text("selekt 1"))
    except DBAPIError as error:
        print("error", told(error))
    conn.rollback()
    sizes = [len(row[0]) for row in conn.execute(LARGE)]
    print("large", len(sizes), "rows", sum(sizes), "bytes")
    streamed = conn.execution_options(stream_results=True, yield_per=100).execute(select(TABLE.c.id))
    print("streamed", sum(len(part) for part in streamed.partitions()))
    conn.rollback()
    conn.execution_options(isolation_level="SERIALIZABLE")
    print("isolation", conn.scalar(text("select current_setting('transaction_isolation')")))
    conn.rollback()


def main():
    # TLS and its authority stand in libpq's variables.
    engine = create_engine(URL.create("postgresql+psycopg", **URL_PARTS), pool_size=2, pool_pre_ping=True)
    with engine.connect() as conn:
        work(conn)
    engine.dispose()


async def main_async():
    context = ssl.create_default_context(cafile=env["PGSSLROOTCERT"])
    engine = create_async_engine(URL.create("postgresql+asyncpg", **URL_PARTS), connect_args={"ssl": context}, pool_size=2)
    async with engine.connect() as conn:
        await conn.run_sync(work)
    await engine.dispose()


main()
asyncio.run(main_async())
print("pipeline, copy, notices, cancel not in this driver")
