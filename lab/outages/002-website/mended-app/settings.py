"""How the website reaches its database, and with how many connections."""
import os

from sqlalchemy import URL, create_engine

RELEASE = "7.3.1"

engine = create_engine(
    URL.create(
        "postgresql+psycopg",
        username=os.environ["PGUSER"],
        password=os.environ["PGPASSWORD"],
        host=os.environ["PGHOST"],
        port=int(os.environ["PGPORT"]),
        database=os.environ["PGDATABASE"],
    ),
    # For each of the two processes.
    pool_size=4,
    max_overflow=0,
    pool_timeout=4,
    connect_args={
        "application_name": f"website/{RELEASE}",
        "connect_timeout": 3,
        # A pooler by transaction may stand between.
        "prepare_threshold": None,
    },
)
