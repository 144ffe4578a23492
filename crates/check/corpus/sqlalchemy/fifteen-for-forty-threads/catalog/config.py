import os

SQLALCHEMY_DATABASE_URI = os.environ["DATABASE_URL"]
SQLALCHEMY_ENGINE_OPTIONS = {
    "pool_size": 2,
    "max_overflow": 1,
    "pool_timeout": 10,
    "pool_recycle": 280,
    "pool_pre_ping": True,
}
