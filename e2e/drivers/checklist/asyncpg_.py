"""asyncpg: the checklist of README.md. It reads libpq's variables itself."""
import asyncio

import asyncpg

LARGE = "select repeat('x', 262144) as x from generate_series(1, 64)"
WAITS = "select pg_sleep(60), 'asyncpg waits'"


async def connect():
    return await asyncpg.connect()


async def main():
    conn = await connect()
    print("connected as", await conn.fetchval("select current_user"), "TLS",
          conn._transport.get_extra_info("ssl_object") is not None)
    await conn.execute("drop table if exists checklist_asyncpg")
    await conn.execute("create table checklist_asyncpg (id int primary key, name text)")
    statement = await conn.prepare("select $1::int + $2::int")
    print("prepared", *[await statement.fetchval(n, 2) for n in range(20)],
          "of", len(statement.get_parameters()), "parameters")
    print("pipeline only in executemany", end=" ")
    try:
        await conn.executemany("insert into checklist_asyncpg values ($1, $2)", [(n % 150, "many") for n in range(300)])
    except asyncpg.UniqueViolationError as error:
        # All of it is one transaction.
        print(error.sqlstate, await conn.fetchval("select count(*) from checklist_asyncpg"))
    await copy(conn)
    await transaction(conn)
    notices = []
    conn.add_log_listener(lambda _, message: notices.append(f"{message.severity} {message.message}"))
    await conn.execute("do $$ begin raise notice 'a notice'; end $$")
    # asyncpg tells its listeners in the event loop's next turns.
    while not notices:
        await asyncio.sleep(0)
    print("notice", *notices)
    rows = await conn.fetch(LARGE)
    print("large", len(rows), "rows", sum(len(row["x"]) for row in rows), "bytes")
    async with conn.transaction():
        print("cursor", sum([row[0] async for row in conn.cursor("select generate_series(1, 1000)", prefetch=100)]))
    await cancel(conn)
    await conn.close()


async def copy(conn):
    told = await conn.copy_records_to_table("checklist_asyncpg", records=[(n, f"name {n}") for n in range(1000)])
    size = 0

    async def take(chunk):
        nonlocal size
        size += len(chunk)

    await conn.copy_from_query("select * from checklist_asyncpg order by id", output=take)
    print("copy in", told, "out", size, "bytes")

    async def breaks():
        yield b"7000\tname\n"
        raise ValueError("changed my mind")

    try:
        await conn.copy_to_table("checklist_asyncpg", source=breaks())
    except ValueError as error:
        print("copy fails:", error, await conn.fetchval("select count(*) from checklist_asyncpg"))


async def transaction(conn):
    async with conn.transaction():
        await conn.execute("insert into checklist_asyncpg values (5000, 'kept')")
        try:
            async with conn.transaction():
                await conn.execute("insert into checklist_asyncpg values ($1, $2)", 5000, "again")
        except asyncpg.UniqueViolationError as error:
            print("error", error.sqlstate, error.constraint_name, "in", conn.is_in_transaction(), end=" ")
    print("and", await conn.fetchval("select name from checklist_asyncpg where id = 5000"))
    try:
        await conn.execute("selekt 1")
    except asyncpg.PostgresSyntaxError as error:
        print("error", error.sqlstate, "at", error.position)


async def cancel(conn):
    """A timeout and a cancelled task both send a cancel request, and wait until the server has answered."""
    other = await connect()
    slow = asyncio.create_task(conn.execute(WAITS))
    while not await other.fetchval(
            "select count(*) from pg_stat_activity where state = 'active' and query like '%asyncpg waits%' "
            "and pid <> pg_backend_pid()"):
        pass
    slow.cancel()
    try:
        await slow
    except asyncio.CancelledError:
        print("cancel, and goes on", await conn.fetchval("select 7"))
    try:
        await conn.execute(WAITS, timeout=0.2)
    except asyncio.TimeoutError:
        print("timeout, and goes on", await conn.fetchval("select 8"))
    # Somebody else cancels it: the error is the server's.
    try:
        await conn.execute("set statement_timeout = 100")
        await conn.execute(WAITS)
    except asyncpg.QueryCanceledError as error:
        print("cancel", error.sqlstate)
    await other.close()


asyncio.run(main())
