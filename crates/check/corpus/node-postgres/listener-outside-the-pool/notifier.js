const { Client, Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 5, connectionTimeoutMillis: 4000 });

// straight to the server, not through the pooler
const listener = new Client({ connectionString: process.env.DIRECT_DATABASE_URL, connectionTimeoutMillis: 4000 });

async function start() {
  await listener.connect();
  await listener.query('LISTEN jobs');
  listener.on('notification', () => pool.query('SELECT 1'));
}
start();
