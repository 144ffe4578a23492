// postgres.js: the checklist of README.md. It pipelines by itself: what is not awaited one by one is in flight together.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const require = createRequire(pathToFileURL(path.join(process.env.NODE_PATH, "x.js")));
const postgres = require("postgres");
const env = process.env;
const notices = [];
const sql = postgres({
  host: env.PGHOST, port: Number(env.PGPORT), user: env.PGUSER, password: env.PGPASSWORD, database: env.PGDATABASE,
  ssl: { ca: readFileSync(env.PGSSLROOTCERT), rejectUnauthorized: true }, max: 6,
  onnotice: (notice) => notices.push(notice),
});

const [{ current_user }] = await sql`select current_user`;
console.log("connected as", current_user);
await sql`set client_min_messages = warning`;
await sql`drop table if exists checklist_js`;
await sql`create table checklist_js (id int primary key, name text)`;

// Eight in flight on each connection, all of one prepared text.
const sums = await Promise.all(Array.from({ length: 60 }, (_, n) => sql`select ${n}::int + 2 as s`));
console.log("prepared", sums.map(([row]) => row.s).join(" "));
const settled = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => sql`select 12 / (${n}::int - 3) as q`));
console.log("pipeline", settled.map((s) => (s.status === "fulfilled" ? s.value[0].q : s.reason.code)).join(" "));

const into = await sql`copy checklist_js (id, name) from stdin`.writable();
await new Promise((ok, fail) => {
  into.on("error", fail).on("finish", ok);
  for (let n = 0; n < 1000; n++) into.write(`${n}\tname ${n}\n`);
  into.end();
});
let bytes = 0;
for await (const chunk of await sql`copy (select * from checklist_js order by id) to stdout`.readable()) bytes += chunk.length;
console.log("copy out", bytes, "bytes");

const kept = await sql.begin(async (sql) => {
  await sql`insert into checklist_js values (5000, 'kept')`;
  const failed = await sql.savepoint((sql) => sql`insert into checklist_js values (5000, 'again')`).catch((error) => error);
  return [failed.code, failed.constraint_name];
});
console.log("error", ...kept, (await sql`select name from checklist_js where id = 5000`)[0].name);
const wrong = await sql.unsafe("selekt 1").catch((error) => error);
console.log("error", wrong.code, "at", wrong.position);
const gone = await sql.begin(async (sql) => {
  await sql`delete from checklist_js`;
  throw new Error("changed my mind");
}).catch((error) => error.message);
console.log(gone, (await sql`select count(*)::int from checklist_js`)[0].count);

// What it was set to above, it was on one of the connections only.
await sql.begin(async (sql) => {
  await sql`set local client_min_messages = notice`;
  await sql`do $$ begin raise notice 'a notice'; end $$`;
});
console.log("notice", ...notices.filter((n) => n.message === "a notice").map((n) => `${n.severity} ${n.message}`));
const rows = await sql`select repeat('x', 262144) as x from generate_series(1, 64)`;
console.log("large", rows.length, "rows", rows.reduce((sum, row) => sum + row.x.length, 0), "bytes");
let inBatches = 0;
await sql`select generate_series(1, 1000) as n`.cursor(100, (batch) => { inBatches += batch.length; });
console.log("cursor", inBatches);

const slow = sql`select pg_sleep(60), 'postgres_js waits'`;
const cancelled = slow.catch((error) => error.code);
for (let running = 0; running === 0;)
  [{ running }] = await sql`select count(*)::int as running from pg_stat_activity where state = 'active' and query like '%postgres_js waits%' and pid <> pg_backend_pid()`;
slow.cancel();
console.log("cancel", await cancelled, "and goes on", (await sql`select 7 as n`)[0].n);
await sql.end();
