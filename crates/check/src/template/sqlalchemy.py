# SQLAlchemy 2: the engine's pool, for one process.
import os

from sqlalchemy import create_engine

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=@SIZE@,
    # No connections beyond the pool.
    max_overflow=0,
    # Seconds: who waits longer gets an error.
    pool_timeout=10,
    pool_recycle=1800,
    pool_pre_ping=True,
    connect_args={
        "connect_timeout": 5,
        "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000",
    },
)
