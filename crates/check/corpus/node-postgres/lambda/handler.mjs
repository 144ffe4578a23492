import { Pool } from 'pg';

// one instance serves one request at a time
const pool = new Pool({ max: 1, connectionTimeoutMillis: 4000, idleTimeoutMillis: 60000 });

export const handler = async (event) => {
  const { rows } = await pool.query('SELECT id, name FROM item WHERE id = $1', [event.id]);
  return rows[0] ?? null;
};
