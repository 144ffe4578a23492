import os
from sqlalchemy import create_engine

# ten threads: five kept, five when it is busy
engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=5,
    max_overflow=5,
    pool_timeout=10,
    pool_recycle=600,
    pool_pre_ping=True,
)
