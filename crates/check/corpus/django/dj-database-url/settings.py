import dj_database_url

DATABASES = {
    "default": dj_database_url.config(
        conn_max_age=120,
        conn_health_checks=True,
        ssl_require=True,
    )
}

REST_FRAMEWORK = {
    "PAGE_SIZE": 100,
    "DEFAULT_THROTTLE_RATES": {"anon": "100/day", "user": "1000/day"},
}
CELERY_BROKER_POOL_LIMIT = None
CELERY_TASK_TIME_LIMIT = 0
