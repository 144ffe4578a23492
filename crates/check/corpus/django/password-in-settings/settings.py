DEBUG = False

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hr",
        "USER": "hr",
        "PASSWORD": "h7-Marigold-88",
        "HOST": "hr-db.internal",
        "CONN_MAX_AGE": 60,
    }
}
