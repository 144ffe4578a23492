import os

DB_POOL_MAX = int(os.environ.get("DB_POOL_MAX", "8"))

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["POSTGRES_DB"],
        "USER": os.environ["POSTGRES_USER"],
        "PASSWORD": os.environ["POSTGRES_PASSWORD"],
        "HOST": os.environ["POSTGRES_HOST"],
        "OPTIONS": {
            "pool": {
                "min_size": 2,
                "max_size": int(os.environ.get("DB_POOL_MAX", "8")),
                "timeout": 10,
            },
            # "pool": {"min_size": 0, "max_size": None},  # tried and dropped
        },
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
