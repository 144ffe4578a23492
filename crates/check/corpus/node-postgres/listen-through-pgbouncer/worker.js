const { Pool } = require('pg');

const pool = new Pool({
  host: '127.0.0.1',
  port: 6432,
  database: 'jobs',
  user: 'jobs',
  password: process.env.DB_PASSWORD,
  max: 4,
  connectionTimeoutMillis: 5000,
});

async function main() {
  const client = await pool.connect();
  await client.query('LISTEN new_job');
  client.on('notification', (m) => console.log(m.payload));
}

main();
