const { Pool } = require('pg');

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 10,
  idleTimeoutMillis: 30000,
  connectionTimeoutMillis: 5000,
  statement_timeout: 30000,
  query_timeout: 35000,
  idle_in_transaction_session_timeout: 60000,
  application_name: 'api',
});

pool.on('error', (err) => {
  console.error('idle client failed', err.code);
});

module.exports = {
  query: (text, params) => pool.query(text, params),
  pool,
};
