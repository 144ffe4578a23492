import { Pool } from 'pg';

export const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: Infinity,
  idleTimeoutMillis: 30000,
  connectionTimeoutMillis: 5000,
});
