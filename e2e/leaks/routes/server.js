// A small web service whose statements carry the route, as sqlcommenter writes it.
'use strict';

const http = require('node:http');
const { Pool } = require('pg');

const SEED = process.env.SEED || '';
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 8 });

const routes = {
  async '/stock'(client, note) {
    await client.query(`select count(*) from pg_class ${note}`);
    client.release();
  },
  async '/refund'(client, note) {
    await client.query(`begin ${note}`);
    await client.query(`create temporary table if not exists refunds (id int) ${note}`);
    const { rows } = await client.query(`insert into refunds values (1) returning id ${note}`);
    if (rows[0].id === 1 && SEED === 'route_without_commit') return; // Refunded before.
    await client.query(`commit ${note}`);
    client.release();
  },
  async '/export'(client, note) {
    await client.query(`select 'marker-in-statement', relname from pg_class limit 3 ${note}`);
    if (SEED !== 'route_not_released') client.release();
  },
};

const server = http.createServer(async (request, response) => {
  const handle = routes[request.url];
  if (handle) {
    const note = `/*framework='http',route='${encodeURIComponent(request.url)}'*/`;
    await handle(await pool.connect(), note);
  }
  response.writeHead(handle ? 200 : 404).end();
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.on('SIGTERM', () => {
  server.close();
  pool.end();
  setTimeout(() => process.exit(), 100).unref();
});
