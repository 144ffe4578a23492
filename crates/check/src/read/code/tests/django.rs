//! Django's settings.

use super::{python, table};

const CURSORS: &str = "needs=ServerSideCursors";

#[test]
fn without_a_pool_each_thread_has_one_connection() {
    table(
        python,
        &[
            (
                r#"
import os
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "HOST": os.environ.get("DB_HOST", "db"),
        "PORT": 5432,
        "PASSWORD": os.environ["DB_PASSWORD"],
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }
}
"#,
                &[
                    "Django default size=~1 connect=5 life=600 needs=ServerSideCursors to=db:5432/shop",
                ],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql_psycopg2', 'CONN_MAX_AGE': None, 'DISABLE_SERVER_SIDE_CURSORS': True}}",
                &["Django default size=~1 life=∞<None>"],
            ),
            (
                "AGE = 60 * 5\nDATABASES = dict(default=dict(ENGINE='django.contrib.gis.db.backends.postgis', CONN_MAX_AGE=AGE))",
                &["Django default size=~1 life=300<60 * 5> needs=ServerSideCursors"],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'POOL_SIZE': 5}}",
                &[],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.mysql', 'PASSWORD': 'x'}}",
                &[],
            ),
        ],
    );
}

#[test]
fn the_pool_of_5_1_has_psycopgs_defaults() {
    let entry = |rest: &str| {
        format!(
            "DATABASES = {{'default': {{'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {{{rest}}}}}}}"
        )
    };
    for (rest, expected) in [
        (
            "'pool': True",
            "size=~4 min=~4 wait=~30 idle=~600 life=~3600",
        ),
        ("'pool': False", "size=~1 life=~0"),
        ("'pool': {}", "size=~1 life=~0"),
        (
            "'pool': {'min_size': 2, 'max_size': 20, 'timeout': 5}",
            "size=20 min=2 wait=5 idle=~600 life=~3600",
        ),
        (
            "'pool': {'min_size': 8}",
            "size=8 min=8 wait=~30 idle=~600 life=~3600",
        ),
        (
            "'pool': {'max_size': int(os.environ.get('POOL', '12'))}",
            "size=12 min=~4 wait=~30 idle=~600 life=~3600",
        ),
    ] {
        let expected = format!("Django default {expected} {CURSORS}");
        assert_eq!(python(&entry(rest)), [expected], "{rest}");
    }
    // What only a run can tell makes no pool.
    assert_eq!(python(&entry("'pool': make_pool()")), [""; 0]);
    assert_eq!(
        python(&entry("'pool': {'max_size': settings.POOL}")),
        [""; 0]
    );
}

#[test]
fn startup_options_are_timeouts_and_a_need() {
    table(
        python,
        &[
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {'options': '-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60s'}}}",
                &[
                    "Django default size=~1 statement=30<30000> idle_tx=60<60s> life=~0 needs=SessionSettings+ServerSideCursors",
                ],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {'options': '-c statement_timeout=30', 'prepare_threshold': 5}}}",
                &[
                    "Django default size=~1 statement=0.03<30> life=~0 needs=SessionSettings+ServerSideCursors+PreparedStatements",
                    "odd <30>: `statement_timeout` is in milliseconds: 30 means 30 ms",
                ],
            ),
        ],
    );
}

#[test]
fn keys_in_the_wrong_place_are_read_by_nothing() {
    table(
        python,
        &[
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'pool': {'max_size': 10}, 'MAX_CONNS': 20, 'CONN_MAXAGE': 60}}",
                &[
                    "Django default size=~1 life=~0 needs=ServerSideCursors",
                    "unread <pool>: since Django 5.1 a pool is `\"OPTIONS\": {\"pool\": {\"max_size\": …}}`",
                    "unread <MAX_CONNS>: since Django 5.1 a pool is `\"OPTIONS\": {\"pool\": {\"max_size\": …}}`",
                    "unread <CONN_MAXAGE>: did you mean `CONN_MAX_AGE`?",
                ],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {'MAX_CONNS': 20, 'CONN_MAX_AGE': 60}}}",
                &[
                    "Django default size=~1 life=~0 needs=ServerSideCursors",
                    "unread <MAX_CONNS>: since Django 5.1 a pool is `\"OPTIONS\": {\"pool\": {\"max_size\": …}}`",
                    "unread <CONN_MAX_AGE>: write it beside OPTIONS, not inside",
                ],
            ),
            (
                "CONN_MAX_AGE = 60\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}",
                &[
                    "Django default size=~1 life=~0 needs=ServerSideCursors",
                    "unread <CONN_MAX_AGE>: write `\"CONN_MAX_AGE\"` into DATABASES[\"default\"]",
                ],
            ),
            // Named once more, it is a constant.
            (
                "CONN_MAX_AGE = 60\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': CONN_MAX_AGE}}",
                &["Django default size=~1 life=60 needs=ServerSideCursors"],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': 60, 'OPTIONS': {'pool': {'max_size': 10, 'max_connections': 5}}}}",
                &[
                    "Django default size=10 min=~4 wait=~30 idle=~600 life=~3600 needs=ServerSideCursors",
                    "odd <60>: Django refuses CONN_MAX_AGE together with a pool",
                    "unread <max_connections>: ",
                ],
            ),
        ],
    );
}

#[test]
fn other_pools_for_django_are_known() {
    table(
        python,
        &[
            (
                "DATABASES = {'default': {'ENGINE': 'dj_db_conn_pool.backends.postgresql', 'POOL_OPTIONS': {'POOL_SIZE': 20, 'MAX_OVERFLOW': -1}}}",
                &[
                    "Django default size=20 extra=∞<-1> min=~0 wait=~30 life=~900 needs=ServerSideCursors",
                ],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django_db_geventpool.backends.postgresql_psycopg2', 'CONN_MAX_AGE': 0, 'OPTIONS': {'MAX_CONNS': 20, 'REUSE_CONNS': 10}}}",
                &["Django default size=20 min=~0 wait=~∞ needs=ServerSideCursors"],
            ),
        ],
    );
}

#[test]
fn secrets_have_a_place_and_developers_defaults_are_none() {
    table(
        python,
        &[
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'PASSWORD': 'hunter2'}}",
                &[
                    "Django default size=~1 life=~0 needs=ServerSideCursors",
                    "secret <hunter2>",
                ],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'PASSWORD': os.getenv('PW', 'postgres')}}",
                &["Django default size=~1 life=~0 needs=ServerSideCursors"],
            ),
            (
                "DATABASES = {'default': dj_database_url.config(default='postgres://u:hunter2@db:6432/shop', conn_max_age=600)}",
                &[
                    "Django default size=~1 life=600 needs=ServerSideCursors to=db:6432/shop",
                    "secret <hunter2>",
                ],
            ),
        ],
    );
}

#[test]
fn what_is_written_later_counts() {
    table(
        python,
        &[
            (
                "DATABASES = {'default': env.db('DATABASE_URL')}\nDATABASES['default']['CONN_MAX_AGE'] = env.int('CONN_MAX_AGE', default=60)",
                &["Django default size=~1 life=60 needs=ServerSideCursors"],
            ),
            (
                "from .base import *\nDATABASES['default'].update({'CONN_MAX_AGE': None})",
                &["Django default size=~1 life=∞<None> needs=ServerSideCursors"],
            ),
            (
                "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'OPTIONS': {'connect_timeout': 3}}}\nDATABASES['default']['OPTIONS']['pool'] = True\nfor name in DATABASES:\n    DATABASES[name]['DISABLE_SERVER_SIDE_CURSORS'] = True",
                &["Django default size=~4 min=~4 connect=3 wait=~30 idle=~600 life=~3600"],
            ),
            (
                "COMMON = {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': 30}\nDATABASES = {'default': {**COMMON, 'HOST': 'a'}, 'replica': {**COMMON, 'HOST': 'b', 'CONN_MAX_AGE': 0}}",
                &[
                    "Django default size=~1 life=30 needs=ServerSideCursors to=a:?/?",
                    "Django replica size=~1 life=0 needs=ServerSideCursors to=b:?/?",
                ],
            ),
            (
                "if DEBUG:\n    DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}}\nelse:\n    DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}",
                &["Django default size=~1 life=~0 needs=ServerSideCursors"],
            ),
        ],
    );
}

#[test]
fn an_age_in_milliseconds_is_odd() {
    let text = "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'CONN_MAX_AGE': 600000}}";
    assert_eq!(
        python(text)[1],
        "odd <600000>: `CONN_MAX_AGE` is in seconds: 600000 means 7 days"
    );
}
