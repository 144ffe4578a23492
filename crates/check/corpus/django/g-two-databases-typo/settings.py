DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "a", "CONN_MAX_AGE": 30},
    "reports": {"ENGINE": "django.db.backends.postgresql", "NAME": "b", "CONN_MAXAGE": 30},
}
