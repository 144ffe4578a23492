"""psycopg 3, sync and async: the checklist of README.md. Everything about the connection stands in libpq's variables."""
import asyncio
import sys

import psycopg

TEXTS = ["select %s::int * 2", "select 1 / (%s::int - 3)", "select %s::int * 3"]
LARGE = "select repeat('x', 262144) from generate_series(1, 64)"
RUNS = "do $$ begin raise notice 'running'; perform pg_sleep(60); end $$"


def heard(diag):
    print("notice", diag.severity_nonlocalized, diag.message_primary)


def told(error):
    diag = error.diag
    return f"{error.sqlstate} {diag.constraint_name or ''} at {diag.statement_position or ''}"


def of_pipeline(cursors, failed):
    """What each statement of a batch gave: its value, its error, or that it was skipped."""
    for cur in cursors:
        yield cur.fetchone()[0] if cur.pgresult and cur.pgresult.status == psycopg.pq.ExecStatus.TUPLES_OK else "none"
    yield failed


def sync():
    conn = psycopg.connect(autocommit=True, prepare_threshold=0)
    print("connected as", conn.execute("select current_user").fetchone()[0], "TLS", conn.pgconn.ssl_in_use)
    conn.execute("drop table if exists checklist_py")
    conn.execute("create table checklist_py (id int primary key, name text)")
    conn.add_notice_handler(heard)
    print("prepared", *(conn.execute("select %s::int + %s::int", (n, 2)).fetchone()[0] for n in range(20)))
    pipeline(conn)
    copy(conn)
    transaction(conn)
    conn.execute("do $$ begin raise notice 'a notice'; end $$")
    with conn.cursor() as cur:
        sizes = [len(row[0]) for row in cur.stream(LARGE)]
    print("large", len(sizes), "rows", sum(sizes), "bytes")
    with conn.transaction(), conn.cursor(name="by_server") as cur:
        cur.itersize = 100
        print("cursor", sum(row[0] for row in cur.execute("select generate_series(1, 1000)")))
    # The notice says that it runs.
    conn.add_notice_handler(lambda diag: conn.cancel_safe(timeout=30))
    try:
        conn.execute(RUNS)
    except psycopg.errors.QueryCanceled as error:
        print("cancel", error.sqlstate, conn.execute("select 'and goes on'").fetchone()[0])
    conn.close()


def pipeline(conn):
    print("pipeline", end="")
    for batch in (2, 3, 4):
        # psycopg says the error as soon as it has it: before the third is sent, or at the end.
        cursors, failed = [conn.cursor() for _ in TEXTS], "whole"
        try:
            with conn.pipeline():
                for cur, text in zip(cursors, TEXTS):
                    cur.execute(text, (batch,))
        except psycopg.Error as error:
            failed = error.sqlstate
        print("", *of_pipeline(cursors, failed), end="")
    # Several Syncs in one pipeline, in a transaction whose middle is rolled back.
    with conn.pipeline() as pipe:
        with conn.transaction():
            conn.execute("create temporary table piped (n int) on commit drop")
            conn.cursor().executemany("insert into piped values (%s)", [(n,) for n in range(100)])
            pipe.sync()
            try:
                with conn.transaction():
                    conn.execute("select 1/0").fetchone()
            except psycopg.errors.DivisionByZero:
                pass
            print("", conn.execute("select sum(n) from piped").fetchone()[0])


def copy(conn):
    with conn.cursor() as cur:
        with cur.copy("copy checklist_py (id, name) from stdin (format binary)") as into:
            into.set_types(["int4", "text"])
            for n in range(1000):
                into.write_row((n, f"name {n}"))
        print("copy in", cur.rowcount, end=" ")
        with cur.copy("copy (select * from checklist_py order by id) to stdout") as out:
            print("out", sum(len(chunk) for chunk in out), "bytes")
        try:
            with cur.copy("copy checklist_py (id, name) from stdin"):
                raise ValueError("changed my mind")
        except ValueError as error:
            print("copy fails:", error, conn.info.transaction_status.name)
        try:
            with cur.copy("copy checklist_py (id, name) from stdin") as into:
                into.write_row((1, "again"))
        except psycopg.Error as error:
            print("copy fails", told(error))


def transaction(conn):
    with conn.transaction():
        conn.execute("insert into checklist_py values (5000, 'kept')")
        try:
            with conn.transaction():
                conn.execute("insert into checklist_py values (%s, %s)", (5000, "again"))
        except psycopg.errors.UniqueViolation as error:
            print("error", told(error), conn.info.transaction_status.name, end=" ")
    print("and", conn.execute("select name from checklist_py where id = 5000").fetchone()[0])
    try:
        conn.execute("selekt 1")
    except psycopg.errors.SyntaxError as error:
        print("error", told(error))
    # Two phases, which the server keeps without a session.
    conn.autocommit = False
    conn.tpc_begin(conn.xid(1, "checklist", "py"))
    conn.execute("delete from checklist_py where id = 5000")
    conn.tpc_prepare()
    conn.tpc_rollback()
    conn.autocommit = True
    print("two phases, rows", conn.execute("select count(*) from checklist_py").fetchone()[0])


async def with_asyncio():
    conn = await psycopg.AsyncConnection.connect(autocommit=True, prepare_threshold=0)
    conn.add_notice_handler(heard)

    async def value(text, *values):
        return (await (await conn.execute(text, values)).fetchone())[0]

    print("async as", await value("select current_user"))
    print("prepared", *[await value("select %s::int + %s::int", n, 2) for n in range(20)])
    async with conn.pipeline():
        cursors = [await conn.execute(TEXTS[0], (n,)) for n in range(20)]
        print("pipeline", *[(await cur.fetchone())[0] for cur in cursors])
    async with conn.cursor() as cur:
        async with cur.copy("copy checklist_py from stdin") as into:
            for n in range(1000):
                await into.write_row((10000 + n, f"name {n}"))
        sizes = [len(row[0]) async for row in cur.stream(LARGE)]
    print("async copy and large", await value("select count(*) from checklist_py"), len(sizes), sum(sizes))
    await conn.execute("do $$ begin raise notice 'a notice'; end $$")
    running = asyncio.Event()
    conn.add_notice_handler(lambda diag: running.set())
    slow = asyncio.create_task(conn.execute(RUNS))
    await running.wait()
    await conn.cancel_safe(timeout=30)
    try:
        await slow
    except psycopg.errors.QueryCanceled as error:
        print("cancel", error.sqlstate, await value("select 'and goes on'"))
    # A task that is cancelled takes its statement along.
    running.clear()
    slow = asyncio.create_task(conn.execute(RUNS))
    await running.wait()
    slow.cancel()
    try:
        await slow
    except (asyncio.CancelledError, psycopg.errors.QueryCanceled) as error:
        print("task", type(error).__name__, await value("select 'and goes on'"))
    await conn.close()


sync()
asyncio.run(with_asyncio())
sys.stdout.flush()
