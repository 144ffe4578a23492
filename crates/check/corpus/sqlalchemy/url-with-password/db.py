from sqlalchemy import create_engine

engine = create_engine(
    "postgresql+psycopg://ledger:Kestrel-40-loom@ledger-db.internal:5432/ledger",
    pool_size=10,
    max_overflow=5,
    pool_timeout=10,
    pool_recycle=1800,
    pool_pre_ping=True,
)
