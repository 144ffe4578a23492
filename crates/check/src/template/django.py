# Django 5.1 and later: each process has a pool of its own.
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "shop",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "127.0.0.1",
        "PORT": "6432",
        # A pool and persistent connections exclude each other.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "connect_timeout": 5,
            "options": "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000",
            "pool": {
                "min_size": 2,
                "max_size": @SIZE@,
                # Seconds: who waits longer gets an error.
                "timeout": 10,
                "max_lifetime": 3600,
                "max_idle": 600,
            },
        },
    }
}
