from .base import *  # noqa: F403
import os

DEBUG = False
ALLOWED_HOSTS = ["orders.example.com"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "restaurant",
        "USER": "restaurant",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db.internal",
        "PORT": "5432",
        "OPTIONS": {
            "pool": {
                "min_size": 2,
                "max_size": 2,
                "timeout": 10,
            },
        },
    },
}
