import pg from 'pg';
export const pool = new pg.Pool({ max: 10, connectionTimeoutMillis: 5, idleTimeoutMillis: 30000 });
