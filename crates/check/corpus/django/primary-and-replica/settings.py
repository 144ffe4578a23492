import os

_common = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "news",
    "USER": "news",
    "PASSWORD": os.getenv("NEWS_DB_PASSWORD"),
}

DATABASES = {
    "default": {
        **_common,
        "HOST": "pg-primary.internal",
        "CONN_MAX_AGE": 120,
        "CONN_HEALTH_CHECKS": True,
    },
    "replica": {
        **_common,
        "HOST": "pg-replica.internal",
        "CONN_MAX_AGE": 120,
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"MIRROR": "default"},
    },
}
DATABASE_ROUTERS = ["news.routers.ReplicaRouter"]
