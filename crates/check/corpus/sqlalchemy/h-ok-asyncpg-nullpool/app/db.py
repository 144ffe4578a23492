from uuid import uuid4
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

engine = create_async_engine(
    "postgresql+asyncpg://app@pgbouncer:6432/shop",
    poolclass=NullPool,
    connect_args={"statement_cache_size": 0, "prepared_statement_name_func": lambda: f"__{uuid4()}__"},
)
