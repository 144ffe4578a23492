import asyncpg

async def make():
    pool = await asyncpg.create_pool(min_size=2, max_size=10, command_timeout=20, max_inactive_connection_lifetime=300)
    async with pool.acquire(timeout=5) as conn:
        await conn.execute("SELECT 1")
    return pool
