// node-postgres: one pool for each process. Times in milliseconds.
const { Pool } = require("pg");

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: @SIZE@,
  // Who waits longer for a connection gets an error; 0 would wait for ever.
  connectionTimeoutMillis: 10000,
  idleTimeoutMillis: 30000,
  maxLifetimeSeconds: 1800,
  statement_timeout: 30000,
  idle_in_transaction_session_timeout: 60000,
});

// Always release, also after an error.
async function withClient(work) {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

module.exports = { pool, withClient };
