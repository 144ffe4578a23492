import os

from sqlalchemy import create_engine, text

ENGINE_OPTIONS = {
    "pool_size": 10,
    "max_overflow": 0,
    "pool_timeout": 10,
    "pool_recycle": 600,
    "pool_pre_ping": True,
}

engine = create_engine(os.environ["DATABASE_URL"], **ENGINE_OPTIONS)


def ping() -> bool:
    with engine.connect() as c:
        return c.execute(text("select 1")).scalar() == 1
