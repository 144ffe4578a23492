import os
from celery import Celery
from sqlalchemy import create_engine

app = Celery("tasks", broker=os.environ["BROKER"])
engine = create_engine(os.environ["DATABASE_URL"], pool_size=2, max_overflow=2, pool_recycle=900)
