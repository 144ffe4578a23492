import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "wiki",
        "USER": "wiki",
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": "db.internal",
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 10, "timeout": 15}},
    }
}
