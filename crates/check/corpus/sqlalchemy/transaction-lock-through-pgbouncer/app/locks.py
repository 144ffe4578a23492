import os

from sqlalchemy import create_engine, text

engine = create_engine(
    "postgresql+psycopg2://jobs@127.0.0.1:6432/jobs",
    pool_size=4,
    max_overflow=0,
    pool_timeout=5,
    pool_recycle=300,
    pool_pre_ping=True,
)


def lock(conn, key):
    # ends with the transaction, so the pooler may lend the connection on
    conn.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": key})
