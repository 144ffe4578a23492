import os

from sqlalchemy import create_engine

ENGINE_OPTIONS = {
    "pool_size": 0,
    "pool_timeout": 10,
    "pool_recycle": 600,
    "pool_pre_ping": True,
}

engine = create_engine(os.environ["DATABASE_URL"], **ENGINE_OPTIONS)
