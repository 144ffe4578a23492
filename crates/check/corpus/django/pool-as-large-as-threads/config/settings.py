from pathlib import Path
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "kitchen",
        "USER": "kitchen",
        "PASSWORD": Path(os.environ["DB_PASSWORD_FILE"]).read_text().strip(),
        "HOST": "db.internal",
        # five threads, five connections
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 5, "timeout": 5}},
    }
}
