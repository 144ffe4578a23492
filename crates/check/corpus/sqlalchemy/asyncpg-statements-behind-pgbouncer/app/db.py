import os

from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(
    f"postgresql+asyncpg://app:{os.environ['DB_PASSWORD']}@127.0.0.1:6432/app",
    pool_size=10,
    max_overflow=0,
    pool_timeout=5,
    pool_recycle=300,
    pool_pre_ping=True,
)
