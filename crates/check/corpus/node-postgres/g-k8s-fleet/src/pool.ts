import { Pool } from 'pg';
export const pool = new Pool({ max: 25, connectionTimeoutMillis: 3000, idleTimeoutMillis: 10000 });
