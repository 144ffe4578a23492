DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        # host, user and password are in pg_service.conf and .pgpass
        "OPTIONS": {
            "service": "ledger",
            "passfile": ".pgpass",
        },
        "CONN_MAX_AGE": 30,
    }
}
