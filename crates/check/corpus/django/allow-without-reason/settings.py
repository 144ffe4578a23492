DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hr",
        "USER": "hr",
        # plimsoll: allow(secret-in-file)
        "PASSWORD": "orchard-9911-vane",
        "HOST": "hr-db.internal",
        "CONN_MAX_AGE": 60,
    }
}
