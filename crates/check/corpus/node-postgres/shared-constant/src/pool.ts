import { Pool } from 'pg';

const SECOND = 1000;

export const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 20,
  connectionTimeoutMillis: 5 * SECOND,
  idleTimeoutMillis: 30 * SECOND,
});
