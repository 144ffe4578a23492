"""psycopg 3: sync and async, server-side prepared statements, pipeline mode, COPY, notices."""
import asyncio
import os
import threading

import psycopg
from psycopg import sql

URL = os.environ["DATABASE_URL"]
WORKERS, ROUNDS = 6, 15


def work(worker, out):
    # prepare_threshold 0: every statement becomes a named one at once.
    with psycopg.connect(URL, prepare_threshold=0, application_name=f"psycopg-{worker}") as conn:
        for n in range(ROUNDS):
            key = worker * 1000 + n
            with conn.transaction():
                conn.execute("insert into items (id, name) values (%s, %s)", (key, f"item {key}"))
                try:
                    with conn.transaction():
                        conn.execute("insert into items (id) values (%s)", (key,))
                except psycopg.errors.UniqueViolation:
                    pass
                row = conn.execute("select name from items where id = %s", (key,)).fetchone()
                assert row == (f"item {key}",), row
            conn.commit()
            # The same name at the client, another text than the neighbour's.
            row = conn.execute(sql.SQL("select {} + %s::int").format(sql.Literal(worker)), (n,)).fetchone()
            assert row == (worker + n,), row
            conn.rollback()
        with conn.cursor() as cur:
            with cur.copy("copy items (id, name) from stdin") as copy:
                for n in range(50):
                    copy.write_row((worker * 1000 + 500 + n, "copied"))
            conn.commit()
            with cur.copy("copy (select id from items where name = 'copied' and id / 1000 = %s order by id) to stdout",
                          (worker,)) as copy:
                assert len(list(copy.rows())) == 50
        conn.commit()
        conn.autocommit = True
        with conn.pipeline():
            cursors = [conn.execute("select %s::int * 2", (n,)) for n in range(20)]
            got = [c.fetchone()[0] for c in cursors]
        assert got == [n * 2 for n in range(20)], got
        conn.autocommit = False
        with conn.cursor(name="big") as cur:
            cur.execute("select generate_series(1, 1000)")
            total = sum(row[0] for row in cur)
        assert total == 500500, total
        conn.rollback()
        try:
            conn.execute("select 1/0")
            raise AssertionError("no error")
        except psycopg.errors.DivisionByZero:
            conn.rollback()
        assert conn.info.parameter_status("application_name") == f"psycopg-{worker}"
    out.append(worker)


async def work_async(worker):
    async with await psycopg.AsyncConnection.connect(URL, prepare_threshold=2, autocommit=True) as conn:
        for n in range(ROUNDS):
            cur = await conn.execute("select %s::text, %s::int", (f"w{worker}", n))
            assert await cur.fetchone() == (f"w{worker}", n)
            async with conn.transaction():
                await conn.execute("set local timezone = 'Asia/Tokyo'")
                cur = await conn.execute("show timezone")
                assert await cur.fetchone() == ("Asia/Tokyo",)
        cur = await conn.execute("show timezone")
        return (await cur.fetchone())[0]


with psycopg.connect(URL, autocommit=True) as conn:
    conn.execute("drop table if exists items")
    conn.execute("create table items (id int primary key, name text)")
done, threads = [], []
for w in range(WORKERS):
    threads.append(threading.Thread(target=work, args=(w, done)))
    threads[-1].start()
for t in threads:
    t.join()
print("sync workers", sorted(done))


async def main():
    zones = await asyncio.gather(*(work_async(w) for w in range(WORKERS)))
    print("async workers", sorted(set(zones)))


asyncio.run(main())
with psycopg.connect(URL) as conn:
    print("rows", conn.execute("select count(*), sum(id) from items").fetchone())
