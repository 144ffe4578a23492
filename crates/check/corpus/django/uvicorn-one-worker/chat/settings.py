import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "chat",
        "USER": "chat",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db",
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 8, "timeout": 10}},
    }
}
