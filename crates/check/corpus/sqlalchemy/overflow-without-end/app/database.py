import os
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=20,
    max_overflow=-1,
    pool_timeout=10,
    pool_recycle=1800,
    pool_pre_ping=True,
)
Session = sessionmaker(engine)
