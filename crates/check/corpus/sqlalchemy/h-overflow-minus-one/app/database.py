from sqlalchemy.ext.asyncio import create_async_engine
from app.config import settings

engine = create_async_engine(settings.database_url, pool_size=10, max_overflow=-1, pool_recycle=1800)
