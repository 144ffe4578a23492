import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "booking",
        "USER": "booking",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db.internal",
        "OPTIONS": {
            "pool": {
                "min_size": 1,
                "max_size": 8,
                "timeout": 10,
            },
        },
    }
}
