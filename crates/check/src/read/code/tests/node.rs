//! Node's drivers and mappers.

use super::{javascript, table};

const OFF: &str = "connect=~∞ wait=~∞ statement=~∞ idle_tx=~∞ idle=~10 life=~∞";

#[test]
fn node_postgres_has_its_defaults() {
    for (text, expected) in [
        (
            "const { Pool } = require('pg');\nconst pool = new Pool();",
            "pool size=~10 min=~0",
        ),
        (
            "import pg from 'pg';\nexport const db = new pg.Pool({ max: 20 });",
            "db size=20 min=~0",
        ),
        (
            "import { Pool } from \"pg\";\nconst pool = new Pool({ max: Number(process.env.PG_MAX || 15) });",
            "pool size=15 min=~0",
        ),
        (
            "import { Pool } from 'pg';\nconst pool = new Pool({ max: parseInt(process.env.PG_MAX ?? '15', 10) });",
            "pool size=15 min=~0",
        ),
        // It takes 0 for nothing stated.
        (
            "const pg = require('pg');\nconst pool = new pg.Pool({ max: 0 });",
            "pool size=10<0> min=~0",
        ),
    ] {
        assert_eq!(
            javascript(text),
            [format!("node-postgres {expected} {OFF}")],
            "{text}"
        );
    }
}

#[test]
fn times_are_milliseconds() {
    table(
        javascript,
        &[
            (
                r#"
const { Pool } = require('pg');
const config = {
  host: 'db', port: 6432, database: 'shop',
  password: process.env.PGPASSWORD,
  max: 20,
  connectionTimeoutMillis: 5_000,
  idleTimeoutMillis: 30 * 1000,
  statement_timeout: 15000,
  idle_in_transaction_session_timeout: 60000,
  maxLifetimeSeconds: 3600,
};
module.exports = new Pool(config);
"#,
                &[
                    "node-postgres pool size=20 min=~0 connect=5<5_000> wait=5<5_000> statement=15<15000> idle_tx=60<60000> idle=30<30 * 1000> life=3600 to=db:6432/shop",
                ],
            ),
            (
                "const { Pool } = require('pg');\nconst pool = new Pool({ connectionTimeoutMillis: 30, idleTimeoutMillis: 0, statement_timeout: false });",
                &[
                    "node-postgres pool size=~10 min=~0 connect=0.03<30> wait=0.03<30> statement=∞<false> idle_tx=~∞ idle=∞<0> life=~∞",
                    "odd <30>: `connectionTimeoutMillis` is in milliseconds: 30 means 30 ms",
                ],
            ),
            // A size that is not known hides nothing else.
            (
                "const { Pool } = require('pg');\nconst pool = new Pool({ max: config.max, password: 'hunter2', idleTimeoutMillis: 10 });",
                &[
                    "odd <10>: `idleTimeoutMillis` is in milliseconds: 10 means 10 ms",
                    "secret <hunter2>",
                ],
            ),
            (
                "const { Pool } = require('pg');\nconst pool = new Pool({ connectionString: 'postgres://app:hunter2@db/shop', connectionLimit: 50, idleTimeoutMilis: 1000 });",
                &[
                    "node-postgres pool size=~10 min=~0 connect=~∞ wait=~∞ statement=~∞ idle_tx=~∞ idle=~10 life=~∞ to=db:?/shop",
                    "unread <connectionLimit>: ",
                    "unread <idleTimeoutMilis>: did you mean `idleTimeoutMillis`?",
                    "secret <hunter2>",
                ],
            ),
        ],
    );
}

#[test]
fn what_is_no_node_postgres_is_left_alone() {
    for text in [
        "const mysql = require('mysql2');\nconst pool = mysql.createPool({ connectionLimit: 10 });",
        "import { Pool } from 'undici';\nconst pool = new Pool('http://x', { connections: 10 });",
        "const { Pool } = require('pg');\nconst pool = new Pool(loadConfig());",
        "const { Pool } = require('pg');\nconst pool = new Pool({ ...base, ssl: true });",
        "const { Pool } = require('pg');\nconst pool = new Pool({ max: limits.max });",
        "const client = { client: 'pg' };",
        "",
    ] {
        assert_eq!(javascript(text), [""; 0], "{text}");
    }
}

#[test]
fn query_builders_have_their_own_pools() {
    table(
        javascript,
        &[
            (
                r#"
module.exports = {
  development: { client: 'sqlite3', connection: { filename: 'x' } },
  production: {
    client: 'pg',
    connection: process.env.DATABASE_URL,
    pool: { min: 0, max: 30, acquireTimeoutMillis: 60 },
  },
};
"#,
                &[
                    "Knex production size=30 min=0 connect=~30 wait=0.06<60> idle=~30",
                    "odd <60>: `acquireTimeoutMillis` is in milliseconds: 60 means 60 ms",
                ],
            ),
            (
                "const knex = require('knex')({ client: 'pg', connection: { host: 'db', password: 'hunter2', database: 'shop' } });",
                &[
                    "Knex knex size=~10 min=~2 connect=~30 wait=~60 idle=~30 to=db:?/shop",
                    "secret <hunter2>",
                ],
            ),
            (
                "const sequelize = new Sequelize('shop', 'app', process.env.PW, { dialect: 'postgres', host: 'db', pool: { max: 20, acquire: 30000 } });",
                &["Sequelize sequelize size=20 min=~0 wait=30<30000> idle=~10 to=db:?/?"],
            ),
            (
                "const { Sequelize } = require('sequelize');\nconst db = new Sequelize('postgres://app@db:5432/shop', { logging: false, max: 5 });",
                &[
                    "Sequelize db size=~5 min=~0 wait=~60 idle=~10 to=db:5432/shop",
                    "unread <max>: ",
                ],
            ),
            (
                "export const source = new DataSource({ type: 'postgres', url: process.env.URL, entities: [], extra: { max: 25, connectionTimeoutMillis: 2000 } });",
                &[
                    "node-postgres source size=25 connect=2<2000> wait=2<2000> statement=~∞ idle_tx=~∞ idle=~10",
                ],
            ),
            (
                "import postgres from 'postgres';\nconst sql = postgres(process.env.DATABASE_URL, { max: 20, idle_timeout: 20, prepare: false });",
                &["postgres.js sql size=20 connect=~30 wait=~∞ idle=20 life=~1800"],
            ),
            (
                "const prisma = new PrismaClient({ datasources: { db: { url: 'postgresql://a@db/x?connection_limit=3&pgbouncer=true' } } });",
                &["Prisma prisma size=3 connect=~5 wait=~10 idle=~300 life=~∞ to=db:?/x"],
            ),
        ],
    );
}

#[test]
fn statements_tell_what_the_session_is_for() {
    let text = r#"
const { Pool } = require('pg');
const pool = new Pool();
async function listen() {
  const client = await pool.connect();
  await client.query('LISTEN jobs');
  await client.query({ name: 'get', text: 'SELECT 1' });
  await client.query("SET LOCAL work_mem = '1GB'");
}
"#;
    let expected =
        format!("node-postgres pool size=~10 min=~0 {OFF} needs=PreparedStatements+Listen");
    assert_eq!(javascript(text), [expected]);
}

#[test]
fn typescript_is_read_too() {
    let text = r#"
import { Pool, PoolConfig } from 'pg';

interface Options { max: number }

const config: PoolConfig = {
  max: 20,
  connectionTimeoutMillis: 5000,
};

export class Database {
  private readonly pool: Pool;
  constructor(private readonly url: string) {
    this.pool = new Pool({ max: 7 } as PoolConfig);
  }
}

export const pool: Pool = new Pool(config);
"#;
    let rest = "statement=~∞ idle_tx=~∞ idle=~10 life=~∞";
    let found = javascript(text);
    assert_eq!(
        found,
        [
            format!("node-postgres pool size=7 min=~0 connect=~∞ wait=~∞ {rest}"),
            format!("node-postgres pool size=20 min=~0 connect=5<5000> wait=5<5000> {rest}"),
        ]
    );
}
