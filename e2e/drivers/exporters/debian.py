"""Debian's prometheus-pgbouncer-exporter: what each of its collectors says of a console."""
import os

import psycopg2
from prometheus_pgbouncer_exporter import collectors

console = psycopg2.connect(host="127.0.0.1", port=os.environ["CONSOLE_PORT"], user="admin", dbname="pgbouncer")
console.set_session(autocommit=True)
for name in ("Stats", "Pools", "Databases", "Lists"):
    kind = getattr(collectors, name + "Collector")
    try:
        options = {} if name == "Lists" else {"databases": None}
        list(kind(connection=console, **options).collect())
        print(name.lower(), "ok")
    except Exception as error:
        print(name.lower(), repr(error))
