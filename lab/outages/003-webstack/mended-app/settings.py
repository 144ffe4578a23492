"""How the web stack reaches its database, with how many connections, and how long it waits for others."""
import os

from sqlalchemy import URL, NullPool, create_engine

RELEASE = "1.9.1"
# A connection is held while the carrier is asked.
CARRIER_TIMEOUT_SECONDS = 0.2

DATABASE = URL.create(
    "postgresql+psycopg",
    username=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    database=os.environ["PGDATABASE"],
)
CONNECT = {
    "application_name": f"webstack/{RELEASE}",
    "connect_timeout": 1,
    # A pooler by transaction may stand between.
    "prepare_threshold": None,
}

if os.environ.get("POOLED_ELSEWHERE"):
    # A connection for each request: the pooler has the pool.
    engine = create_engine(DATABASE, poolclass=NullPool, connect_args=CONNECT)
else:
    engine = create_engine(DATABASE, pool_size=16, max_overflow=0, pool_timeout=1, connect_args=CONNECT)
