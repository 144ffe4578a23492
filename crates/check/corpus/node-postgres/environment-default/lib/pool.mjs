import { Pool } from 'pg';

export default new Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.PG_POOL_MAX ?? 10),
  connectionTimeoutMillis: Number(process.env.PG_WAIT_MS || 5000),
  idleTimeoutMillis: 20000,
});
