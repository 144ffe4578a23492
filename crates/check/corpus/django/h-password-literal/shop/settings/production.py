DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "shop",
        "PASSWORD": "aiGh3iechu",
        "HOST": "db.internal",
        "CONN_MAX_AGE": 60,
    }
}
