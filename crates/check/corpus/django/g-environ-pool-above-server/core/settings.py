import environ
env = environ.Env()

DATABASES = {"default": env.db("DATABASE_URL")}
DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 4, "max_size": 160}}
