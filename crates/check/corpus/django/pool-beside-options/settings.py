import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hr",
        "USER": "hr",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "hr-db",
        "POOL": {"min_size": 2, "max_size": 10},
    }
}
