// The main service: payments, accounts, a catalogue. A request that gets no connection answers 503.
'use strict';

const http = require('node:http');
const { Pool } = require('pg');
const { name, version } = require('./package.json');
const routes = require('./routes');

function makePool(database, max) {
  const pool = new Pool({
    database,
    max,
    application_name: `${name}/${version}`,
    connectionTimeoutMillis: 3000,
    query_timeout: 4500,
  });
  // A connection that ends while nobody looks must not end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

// What only reads has a pool of its own, and where there is a pooler, an entry of its own there.
const main = makePool(process.env.PGDATABASE, Number(process.env.POOL_MAX ?? 10));
const readDatabase = process.env.PGDATABASE + (process.env.READ_SUFFIX ?? '');
const reads = makePool(readDatabase, Number(process.env.POOL_MAX ?? 6));

const table = {
  pay: (user) => routes.pay(main, user),
  account: (user) => routes.account(main, user),
  catalogue: (user) => routes.catalogue(reads, user),
};

async function answer(request, response) {
  const [, route, id] = request.url.split('/');
  request.resume();
  if (route === 'health') return response.end('up\n');
  if (!Object.hasOwn(table, route)) return response.writeHead(404).end();
  try {
    const found = await table[route](Number(id));
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify(found)}\n`);
  } catch (error) {
    response.writeHead(503).end(`${error.message}\n`);
  }
}

const server = http.createServer(answer).listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  process.exit(0);
});
