import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "poll",
        "USER": "poll",
        "PASSWORD": os.environ.get("DB_PASSWORD", ""),
        "HOST": "db.internal",
        "OPTIONS": {"pool": True},  # psycopg's defaults: 4, 30 s
    }
}
