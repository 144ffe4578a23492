const { Pool } = require('pg');
module.exports = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 80,
  connectionTimeoutMillis: 3000,
  idleTimeoutMillis: 30000,
});
