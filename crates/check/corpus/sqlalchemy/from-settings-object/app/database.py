from sqlalchemy import create_engine

from app.settings import settings

engine = create_engine(
    str(settings.database_url),
    pool_size=settings.pool_size,
    max_overflow=settings.max_overflow,
    pool_timeout=settings.pool_timeout,
    pool_recycle=settings.pool_recycle,
    pool_pre_ping=True,
)
