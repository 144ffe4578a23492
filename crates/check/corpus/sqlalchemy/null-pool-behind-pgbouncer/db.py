import os

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

# PgBouncer on this host pools; a second pool in front of it would only hold clients.
engine = create_engine(os.environ["PGBOUNCER_URL"], poolclass=NullPool)
