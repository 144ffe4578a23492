import os
import psycopg
from psycopg_pool import ConnectionPool

pool = ConnectionPool("host=pgbouncer port=6432 dbname=jobs user=jobs", max_size=5, kwargs={"prepare_threshold": None})

def run():
    with pool.connection() as conn:
        conn.execute("LISTEN jobs")
        for note in conn.notifies():
            print(note)
