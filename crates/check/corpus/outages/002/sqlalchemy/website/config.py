import os


class Production:
    DEBUG = False
    SQLALCHEMY_DATABASE_URI = os.environ["DATABASE_URL"]
    SQLALCHEMY_ENGINE_OPTIONS = {
        "pool_size": 0,
        "pool_timeout": 30,
        "pool_recycle": 280,
        "pool_pre_ping": True,
    }
