const { Pool } = require('pg');

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 10,
  connectionTimeoutMillis: 5000,
  idleTimeoutMillis: 0,
  statement_timeout: 0,
  idle_in_transaction_session_timeout: 0,
});

module.exports = pool;
