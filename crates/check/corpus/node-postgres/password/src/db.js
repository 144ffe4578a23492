const { Pool } = require('pg');

const pool = new Pool({
  host: 'db.internal',
  database: 'tickets',
  user: 'tickets',
  password: 'juniper-Vault-0042',
  max: 10,
  connectionTimeoutMillis: 5000,
  idleTimeoutMillis: 30000,
});

module.exports = pool;
