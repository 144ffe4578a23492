// node-pg: its pool, named statements, transactions, errors, LISTEN is left to the oracle.
const { Pool, Client } = require("pg");

async function main() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
  await pool.query("drop table if exists items");
  await pool.query("create table items (id int primary key, doc jsonb)");
  const work = async (worker) => {
    for (let n = 0; n < 15; n++) {
      const client = await pool.connect();
      try {
        // Every worker uses the same names for its statements, with the same texts.
        const sum = await client.query({ name: "sum", text: "select $1::int + $2::int as s", values: [worker, n] });
        if (sum.rows[0].s !== worker + n) throw new Error(`wrong sum ${sum.rows[0].s}`);
        await client.query("begin");
        await client.query({ name: "put", text: "insert into items values ($1, $2)", values: [worker * 100 + n, { n }] });
        const back = await client.query({ name: "get", text: "select doc from items where id = $1", values: [worker * 100 + n] });
        if (back.rows[0].doc.n !== n) throw new Error("wrong row");
        await client.query(n % 5 === 4 ? "rollback" : "commit");
        const failed = await client.query("select 1/0").catch((error) => error.code);
        if (failed !== "22012") throw new Error(`wrong code ${failed}`);
      } finally {
        client.release();
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, w) => work(w)));
  const one = new Client({ connectionString: process.env.DATABASE_URL, application_name: "node" });
  await one.connect();
  const several = await one.query("select 1 as a; select 2 as b");
  console.log("several", several.map((r) => r.rows[0]));
  const name = await one.query("show application_name");
  console.log("name", name.rows[0].application_name);
  await one.end();
  const total = await pool.query("select count(*)::int as c, sum(id)::int as s from items");
  console.log("rows", total.rows[0]);
  await pool.end();
}
main().catch((error) => { console.error(error); process.exit(1); });
