"""psycopg2: simple protocol, named cursors, COPY, savepoints, isolation levels, notices."""
import io
import os
import sys
import threading

# This file has the driver's name: keep it from importing itself.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import psycopg2  # noqa: E402
import psycopg2.extras  # noqa: E402

URL = os.environ["DATABASE_URL"]


def work(worker, out):
    conn = psycopg2.connect(URL, application_name=f"two-{worker}")
    conn.set_session(isolation_level="REPEATABLE READ")
    for n in range(15):
        with conn, conn.cursor() as cur:
            cur.execute("insert into two (id, name) values (%s, %s)", (worker * 100 + n, "n'm"))
            cur.execute("savepoint a")
            try:
                cur.execute("insert into two (id) values (%s)", (worker * 100 + n,))
            except psycopg2.errors.UniqueViolation:
                cur.execute("rollback to savepoint a")
            cur.execute("show transaction_isolation")
            assert cur.fetchone() == ("repeatable read",)
    with conn, conn.cursor("named") as cur:
        cur.itersize = 10
        cur.execute("select generate_series(1, 100)")
        assert sum(r[0] for r in cur) == 5050
    with conn, conn.cursor() as cur:
        cur.copy_expert("copy two (id, name) from stdin", io.StringIO(f"{worker + 5000}\tcopied\n"))
        psycopg2.extras.execute_values(cur, "insert into two (id, name) values %s",
                                       [(worker * 100 + 60 + i, "many") for i in range(20)])
        cur.execute("do $$ begin raise notice 'noted'; end $$")
    assert any("noted" in n for n in conn.notices)
    conn.close()
    out.append(worker)


conn = psycopg2.connect(URL)
conn.autocommit = True
conn.cursor().execute("drop table if exists two; create table two (id int primary key, name text)")
out = []
threads = [threading.Thread(target=work, args=(w, out)) for w in range(6)]
for t in threads:
    t.start()
for t in threads:
    t.join()
cur = conn.cursor()
cur.execute("select count(*), sum(id) from two")
print("workers", sorted(out), "rows", cur.fetchone())
