import os
from sqlalchemy import create_engine

# 5 connections and 10 in overflow, 30 s of waiting: SQLAlchemy's defaults
engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True, pool_recycle=1800)
