import os

class Config:
    SQLALCHEMY_DATABASE_URI = os.environ["DATABASE_URL"]
    SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 10, "max_overflow": 0, "pool_timeout": 5, "pool_recycle": 1200, "pool_pre_ping": True}
