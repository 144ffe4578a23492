import os

DATABASES = {
    "default": {"ENGINE": "django.db.backends.postgresql", "NAME": "a", "USER": "a", "PASSWORD": os.environ["PW"], "HOST": "primary"},
    "replica": {"ENGINE": "django.db.backends.postgresql", "NAME": "a", "USER": "a", "PASSWORD": os.environ["PW"], "HOST": "replica", "TEST": {"MIRROR": "default"}},
}
DATABASE_ROUTERS = ["app.routers.Replica"]
