import os
from sqlalchemy import create_engine

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=8,
    max_overflow=4,
    pool_timeout=5,
    pool_recycle=900,
    pool_pre_ping=True,
)
