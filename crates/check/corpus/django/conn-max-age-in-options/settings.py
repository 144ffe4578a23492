import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hr",
        "USER": "hr",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "hr-db",
        "OPTIONS": {
            "connect_timeout": 5,
            "CONN_MAX_AGE": 60,
        },
    }
}
