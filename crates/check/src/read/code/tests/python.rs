//! SQLAlchemy, Python's drivers, Gunicorn.

use super::{named, python, table};

#[test]
fn engines_have_sqlalchemys_defaults() {
    table(
        python,
        &[
            (
                "engine = create_engine('postgresql://app@db/shop')",
                &["SQLAlchemy engine size=~5 extra=~10 wait=~30 life=~∞ to=db:?/shop"],
            ),
            (
                r#"
from sqlalchemy import create_engine
POOL_SIZE = 20
engine = create_engine(
    os.environ["DATABASE_URL"],
    pool_size=POOL_SIZE,
    max_overflow=-1,
    pool_timeout=10,
    pool_recycle=1800,
    pool_pre_ping=True,
)
"#,
                &["SQLAlchemy engine size=20 extra=∞<-1> wait=10 life=1800"],
            ),
            (
                "db = sa.create_engine(url, pool_size=0)",
                &["SQLAlchemy db size=∞<0> extra=~10 wait=~30 life=~∞"],
            ),
            (
                "engine = create_engine('postgresql+psycopg2://db/shop', poolclass=NullPool)",
                &["SQLAlchemy engine size=∞<NullPool> life=~0 to=db:?/shop"],
            ),
            (
                "engine = create_engine(os.environ['PGBOUNCER_URL'], poolclass=NullPool)",
                &["SQLAlchemy engine size=~1 life=~0"],
            ),
            (
                "engine = create_engine(url, pool_recycle=-1)",
                &["SQLAlchemy engine size=~5 extra=~10 wait=~30 idle=∞<-1> life=∞<-1>"],
            ),
            (
                "engine = create_engine(url, pool_recycle=-1, pool_pre_ping=True)",
                &["SQLAlchemy engine size=~5 extra=~10 wait=~30 life=∞<-1>"],
            ),
            ("engine = create_engine('sqlite:///x.db', pool_size=0)", &[]),
            ("engine = create_engine('mysql+pymysql://db/x')", &[]),
            (
                "engine = create_engine(url, connect_args={'check_same_thread': False})",
                &[],
            ),
            (
                "engine = create_engine(url, pool_size=settings.pool_size)",
                &[],
            ),
        ],
    );
}

#[test]
fn drivers_that_prepare_statements_need_them_kept() {
    let size = "size=~5 extra=~10 wait=~30 life=~∞";
    for (url, arguments, needs) in [
        ("postgresql+asyncpg", "", " needs=PreparedStatements"),
        (
            "postgresql+asyncpg",
            ", connect_args={'statement_cache_size': 0}",
            "",
        ),
        (
            "postgresql+asyncpg",
            ", connect_args={'statement_cache_size': 100}",
            " needs=PreparedStatements",
        ),
        ("postgresql+psycopg", "", " needs=PreparedStatements"),
        (
            "postgresql+psycopg",
            ", connect_args={'prepare_threshold': None}",
            "",
        ),
        ("postgresql+psycopg2", "", ""),
    ] {
        let text = format!("engine = create_async_engine('{url}://db/shop'{arguments})");
        assert_eq!(
            python(&text),
            [format!("SQLAlchemy engine {size}{needs} to=db:?/shop")],
            "{text}"
        );
    }
}

#[test]
fn arguments_that_do_not_exist_and_wrong_units_are_said() {
    table(
        python,
        &[
            (
                "e = create_engine(url, pool_size=5, max_connections=20, pool_timout=3)",
                &[
                    "SQLAlchemy e size=5 extra=~10 wait=~30 life=~∞",
                    "unread <max_connections>: ",
                    "unread <pool_timout>: did you mean `pool_timeout`?",
                ],
            ),
            (
                "e = create_engine(url, pool_timeout=30000, pool_recycle=3600000)",
                &[
                    "SQLAlchemy e size=~5 extra=~10 wait=30000 life=3600000",
                    "odd <30000>: `pool_timeout` is in seconds: 30000 means 8.3 hours",
                    "odd <3600000>: `pool_recycle` is in seconds: 3600000 means 42 days",
                ],
            ),
            (
                "e = create_engine(url, pool_size='many')",
                &["odd <many>: `pool_size` is a whole number"],
            ),
            (
                "e = create_engine('postgresql://a:hunter2@db/x', pool_size=settings.size, pool_timeout=30000)",
                &[
                    "odd <30000>: `pool_timeout` is in seconds: 30000 means 8.3 hours",
                    "secret <hunter2>",
                ],
            ),
            (
                "e = create_engine(url, poolclass=NullPool, pool_size=5)",
                &[
                    "SQLAlchemy e size=~1 life=~0",
                    "unread <pool_size>: remove it, or remove poolclass=NullPool",
                ],
            ),
        ],
    );
}

#[test]
fn flask_keeps_its_options_in_a_map() {
    table(
        python,
        &[
            (
                r#"
class Config:
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL", "postgresql://app:hunter2@db/shop")
    SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 10, "max_overflow": 0, "pool_pre_ping": True}
"#,
                &[
                    "SQLAlchemy SQLAlchemy size=10 extra=0 wait=~30 life=~∞ to=db:?/shop",
                    "secret <hunter2>",
                ],
            ),
            (
                "app.config['SQLALCHEMY_ENGINE_OPTIONS'] = {'pool_size': 10}\napp.config['SQLALCHEMY_POOL_SIZE'] = 5",
                &[
                    "SQLAlchemy SQLAlchemy size=10 extra=~10 wait=~30 life=~∞",
                    "unread <app.config['SQLALCHEMY_POOL_SIZE']>: write `SQLALCHEMY_ENGINE_OPTIONS = {\"pool_size\": …}`",
                ],
            ),
            (
                "app.config.update(SQLALCHEMY_DATABASE_URI='postgresql://db/shop')",
                &["SQLAlchemy SQLAlchemy size=~5 extra=~10 wait=~30 life=~∞ to=db:?/shop"],
            ),
            ("SQLALCHEMY_DATABASE_URI = 'sqlite:///x.db'", &[]),
        ],
    );
}

#[test]
fn class_attributes_and_splats_are_followed() {
    table(
        python,
        &[
            (
                "class Settings(BaseSettings):\n    pool_size: int = 15\n    overflow: int = Field(5, env='X')\n\nsettings = Settings()\nengine = create_engine(settings.url, pool_size=settings.pool_size, max_overflow=settings.overflow)",
                &["SQLAlchemy engine size=15 extra=5 wait=~30 life=~∞"],
            ),
            (
                "OPTS = {'pool_size': 7}\nengine = create_engine(url, **OPTS, max_overflow=1)",
                &["SQLAlchemy engine size=7 extra=1 wait=~30 life=~∞"],
            ),
            // Assigned twice is no constant; what is spread is not known.
            (
                "N = 5\nN = 6\nengine = create_engine(url, pool_size=N)",
                &[],
            ),
            ("engine = create_engine(url, **options())", &[]),
        ],
    );
}

#[test]
fn drivers_own_pools_are_read() {
    table(
        python,
        &[
            (
                "from psycopg_pool import ConnectionPool\npool = ConnectionPool('postgresql://app@db:6432/shop', min_size=2, max_size=10, kwargs={'prepare_threshold': None})",
                &["psycopg pool size=10 min=2 wait=~30 idle=~600 life=~3600 to=db:6432/shop"],
            ),
            (
                "import psycopg_pool\npool = psycopg_pool.AsyncConnectionPool(dsn, maxsize=10)",
                &[
                    "psycopg pool size=~4 min=~4 wait=~30 idle=~600 life=~3600 needs=PreparedStatements",
                    "unread <maxsize>: did you mean `max_size`?",
                ],
            ),
            (
                "from psycopg2.pool import ThreadedConnectionPool\npool = ThreadedConnectionPool(1, 20, dsn)",
                &["psycopg pool size=20 min=1 wait=~0"],
            ),
            (
                "import asyncpg\nasync def main():\n    pool = await asyncpg.create_pool(dsn, max_size=5, command_timeout=60)",
                &[
                    "asyncpg pool size=5 min=~10 connect=~60 wait=~∞ statement=60 idle=~300 needs=PreparedStatements",
                ],
            ),
            (
                "import asyncpg\npool = await asyncpg.create_pool(dsn, min_size=1, statement_cache_size=0, server_settings={'application_name': 'x'})\nasync with pool.acquire(timeout=5) as c:\n    await c.execute('LISTEN jobs')\n    await c.fetch('select pg_advisory_lock(1)')",
                &[
                    "asyncpg pool size=~10 min=1 connect=~60 wait=5 statement=~∞ idle=~300 needs=AdvisoryLocks+Listen",
                ],
            ),
            (
                "import redis\npool = redis.ConnectionPool(max_connections=5)",
                &[],
            ),
            (
                "import aiomysql\npool = await aiomysql.create_pool(maxsize=5)",
                &[],
            ),
        ],
    );
}

#[test]
fn gunicorn_says_processes_and_threads() {
    let gunicorn = |text: &str| named("deploy/gunicorn.conf.py", text);
    table(
        gunicorn,
        &[
            (
                "bind = '0.0.0.0:8000'\nworkers = int(os.environ.get('WEB_CONCURRENCY', '4'))\nthreads = 8\ntimeout = 60",
                &["Gunicorn processes=4 threads=8"],
            ),
            (
                "import multiprocessing\nworkers = multiprocessing.cpu_count() * 2 + 1",
                &["Gunicorn processes=? threads=~1"],
            ),
            (
                "workers = 2\nworker_class = 'gevent'\ntimeout = 30000",
                &[
                    "Gunicorn processes=2 threads=~1000",
                    "odd <30000>: `timeout` is in seconds: 30000 means 8.3 hours",
                ],
            ),
            (
                "workers = 2\ntimeout = 60",
                &["Gunicorn processes=2 threads=~1", "Gunicorn request=60"],
            ),
            ("x = 1", &[]),
        ],
    );
    assert_eq!(python("workers = 4"), [""; 0]);
}
