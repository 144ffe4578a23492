import os
from sqlalchemy import create_engine

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=20,
    max_overflow=10,
    pool_timeout=10,
    pool_recycle=-1,
    pool_pre_ping=False,
)
