"""Settings of production: how many connections, and how long to wait for one."""
import os

from sqlalchemy import URL, create_engine

RELEASE = "3.8.0"

engine = create_engine(
    URL.create(
        "postgresql+psycopg",
        username=os.environ["PGUSER"],
        password=os.environ["PGPASSWORD"],
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        database=os.environ["PGDATABASE"],
    ),
    pool_size=32,
    max_overflow=0,
    pool_timeout=4,
    connect_args={
        "application_name": f"products/{RELEASE}",
        "connect_timeout": 3,
        # A pooler by transaction may stand between.
        "prepare_threshold": None,
    },
)
