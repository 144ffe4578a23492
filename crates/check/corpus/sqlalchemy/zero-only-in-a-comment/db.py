import os
from sqlalchemy import create_engine

# pool_size=0 would mean no limit at all, so it is stated
engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=5,       # not 0
    max_overflow=0,    # zero here means: never more than pool_size
    pool_timeout=20,
    pool_recycle=1200,
    pool_pre_ping=True,
)
