import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "api",
        "USER": "api",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db.internal",
        "OPTIONS": {
            "pool": {
                "min_size": 4,
                "max_size": 10,
                "timeout": 10,
            },
        },
    }
}
