const { Pool } = require('pg');

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 10,
  connectionTimeoutMillis: 5,
  idleTimeoutMillis: 30,
});

module.exports = pool;
