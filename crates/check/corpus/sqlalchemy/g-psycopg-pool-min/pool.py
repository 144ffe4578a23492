from psycopg_pool import AsyncConnectionPool

pool = AsyncConnectionPool(conninfo="", min_size=30, max_size=10, open=False)
