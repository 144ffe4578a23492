import environ

env = environ.Env()

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "crm",
        "USER": "crm",
        "PASSWORD": env("CRM_DB_PASSWORD"),
        "HOST": "127.0.0.1",
        "PORT": 6432,
        "CONN_MAX_AGE": 0,
        # PgBouncer lends by transaction
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
