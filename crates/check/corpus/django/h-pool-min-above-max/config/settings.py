import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["DB_NAME"],
        "USER": os.environ["DB_USER"],
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": os.environ.get("DB_HOST", "localhost"),
        "OPTIONS": {
            "pool": {
                "min_size": 12,
                "max_size": 6,
                "timeout": 10,
            },
        },
    }
}
