"""asyncpg with its default statement cache, binary formats, cursors, COPY, its own pool."""
import asyncio
import os

import asyncpg

URL = os.environ["DATABASE_URL"]


async def work(pool, worker):
    for n in range(15):
        async with pool.acquire() as conn:
            assert await conn.fetchval("select $1::int + $2::int", worker, n) == worker + n
            async with conn.transaction():
                await conn.execute("insert into items values ($1, $2)", worker * 100 + n, f"{worker}/{n}")
                try:
                    async with conn.transaction():
                        await conn.execute("insert into items values ($1, $2)", worker * 100 + n, "again")
                except asyncpg.UniqueViolationError:
                    pass
                got = await conn.fetchval("select name from items where id = $1", worker * 100 + n)
                assert got == f"{worker}/{n}", got
                total = 0
                async for row in conn.cursor("select generate_series(1, 120) as i", prefetch=25):
                    total += row["i"]
                assert total == 7260
            rows = await conn.fetch("select unnest($1::text[]) as v", ["a", None, "c"])
            assert [r["v"] for r in rows] == ["a", None, "c"]
    async with pool.acquire() as conn:
        await conn.executemany("insert into items values ($1, $2)", [(worker * 100 + 50 + i, "m") for i in range(10)])
        await conn.copy_records_to_table("items", records=[(worker * 100 + 70 + i, "c") for i in range(10)])
        statement = await conn.prepare("select $1::timestamptz")
        assert await statement.fetchval(None) is None


async def main():
    pool = await asyncpg.create_pool(URL, min_size=2, max_size=8,
                                     server_settings={"application_name": "asyncpg", "jit": "off"})
    await pool.execute("drop table if exists items")
    await pool.execute("create table items (id int primary key, name text)")
    await asyncio.gather(*(work(pool, w) for w in range(8)))
    print("rows", tuple(await pool.fetchrow("select count(*), sum(id) from items")))
    print("jit", await pool.fetchval("show jit"))
    await pool.close()


asyncio.run(main())
