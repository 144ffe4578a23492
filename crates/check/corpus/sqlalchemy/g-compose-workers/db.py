import os
from sqlalchemy import create_engine

POOL = int(os.environ.get("DB_POOL_SIZE", "10"))
engine = create_engine(os.environ["DATABASE_URL"], pool_size=POOL, max_overflow=0)
