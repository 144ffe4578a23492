import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "shop",
        "PASSWORD": os.environ["SHOP_DB_PASSWORD"],
        "HOST": "shop-db",
        "CONN_MAX_AGE": 60,
    },
    "legacy": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "legacy",
        "USER": "readonly",
        "PASSWORD": "Bramble!2019",
        "HOST": "legacy-db",
        "CONN_MAX_AGE": 0,
    },
}
