import os
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

test_engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
