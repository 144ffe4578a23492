// node-pg: the checklist of README.md. It sends one statement at a time; cursors, streams and COPY are other packages'.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const require = createRequire(pathToFileURL(path.join(process.env.NODE_PATH, "x.js")));
const { Pool, Client } = require("pg");
const env = process.env;
const settings = {
  host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, password: env.PGPASSWORD, database: env.PGDATABASE,
  ssl: { ca: readFileSync(env.PGSSLROOTCERT), rejectUnauthorized: true },
};
// The environment's sslmode would take the place of what stands above.
delete env.PGSSLMODE;
const conn = new Client(settings);
await conn.connect();
const value = async (text, values) => Object.values((await conn.query(text, values)).rows[0])[0];
const failure = (query) => query.then(() => { throw new Error("no error"); }, (error) => error);

console.log("connected as", await value("select current_user"), "TLS", conn.connection.stream.encrypted);
await conn.query("drop table if exists checklist_node");
await conn.query("create table checklist_node (id int primary key, name text)");

const sums = [];
for (let n = 0; n < 20; n++) {
  const sum = await conn.query({ name: "sum", text: "select $1::int + $2::int as s", values: [n, 2] });
  sums.push(sum.rows[0].s);
}
console.log("prepared", ...sums);
// Queued by the client, one after the other on the line, from more callers than the pool has connections.
const pool = new Pool({ ...settings, max: 6 });
const settled = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => pool.query({ name: "quotient", text: "select 12 / ($1::int - 3) as q", values: [n] })));
console.log("pipeline not in this driver; in a pool", ...settled.map((s) => (s.status === "fulfilled" ? s.value.rows[0].q : s.reason.code)));
console.log("copy not in this driver");

await conn.query("begin");
await conn.query("insert into checklist_node values (5000, 'kept')");
await conn.query("savepoint a");
const again = await failure(conn.query("insert into checklist_node values ($1, $2)", [5000, "again"]));
const skipped = await failure(conn.query("select 1"));
await conn.query("rollback to a");
await conn.query("commit");
console.log("error", again.code, again.constraint, again.detail, "then", skipped.code, "and", await value("select name from checklist_node where id = 5000"));
const wrong = await failure(conn.query("selekt 1"));
console.log("error", wrong.code, "at", wrong.position, wrong.severity);

conn.on("notice", (notice) => console.log("notice", notice.severity, notice.message));
await conn.query("do $$ begin raise notice 'a notice'; end $$");
const large = await conn.query("select repeat('x', 262144) as x from generate_series(1, 64)");
console.log("large", large.rows.length, "rows", large.rows.reduce((sum, row) => sum + row.x.length, 0), "bytes");

console.log("cancel not in this driver");
// What it has instead: a timeout of its own, which leaves the statement running, and the server's.
await conn.query("set statement_timeout = 100");
console.log("timeout", (await failure(conn.query("select pg_sleep(60)"))).code, "and goes on", await value("select 7"));
await conn.query("reset statement_timeout");
await pool.end();
await conn.end();
