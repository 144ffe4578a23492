import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "stock",
        "USER": "stock",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "stock-db",
        "OPTIONS": {
            "pool": {
                "min_size": 2,
                "max_size": 10,
                "timeout": 10000,
            },
        },
    }
}
