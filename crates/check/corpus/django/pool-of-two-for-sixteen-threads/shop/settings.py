import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "shop",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db.internal",
        "OPTIONS": {
            "pool": {
                "min_size": 1,
                "max_size": 2,
                "timeout": 10,
            },
        },
    }
}
