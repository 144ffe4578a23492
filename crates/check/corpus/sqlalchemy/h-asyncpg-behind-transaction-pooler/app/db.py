from sqlalchemy.ext.asyncio import create_async_engine as make

engine = make("postgresql+asyncpg://app@pgbouncer:6432/shop", pool_size=5, max_overflow=5)
