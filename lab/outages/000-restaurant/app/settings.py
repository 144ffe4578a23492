"""Settings of the restaurant platform: which database, and how many connections to it."""
import os

RELEASE = "5.1.3"

SECRET_KEY = "only for the laboratory"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "restaurant"
MIDDLEWARE = []
INSTALLED_APPS = []
USE_TZ = True
# Few rounds: the laboratory is about connections, not about guessing passwords.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
        # A request is a transaction.
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 0,
        # A pooler by transaction may stand between.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "application_name": f"orders/{RELEASE}",
            "connect_timeout": 3,
            # For each of the two processes.
            "pool": {"min_size": 2, "max_size": 16, "timeout": 4},
        },
    }
}
