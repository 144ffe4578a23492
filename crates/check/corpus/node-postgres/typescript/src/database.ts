import pg from 'pg';
import { env } from './env.js';

export const pool = new pg.Pool({
  host: env.DB_HOST,
  port: 5432,
  user: env.DB_USER,
  password: env.DB_PASSWORD,
  database: 'tickets',
  max: 8,
  min: 2,
  maxLifetimeSeconds: 1800,
  idleTimeoutMillis: 10_000,
  connectionTimeoutMillis: 3_000,
  ssl: { rejectUnauthorized: true },
});

export async function withClient<T>(work: (c: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}
