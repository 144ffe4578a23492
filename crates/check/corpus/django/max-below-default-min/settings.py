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
                "max_size": 2,
                "timeout": 10,
            },
        },
    }
}
