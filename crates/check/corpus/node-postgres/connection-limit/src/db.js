const { Pool } = require('pg');

const pool = new Pool({
  host: 'db.internal',
  database: 'tickets',
  user: 'tickets',
  password: process.env.DB_PASSWORD,
  connectionLimit: 40,
  connectionTimeoutMillis: 5000,
});

module.exports = pool;
