import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "stock",
        "USER": "stock",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "stock-db",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "options": "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0",
        },
    }
}
