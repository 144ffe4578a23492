import os
from sqlalchemy import create_engine

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=10,
    max_overflow=5,
    pool_timeout=30000,
    pool_recycle=1800,
    pool_pre_ping=True,
)
