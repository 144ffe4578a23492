import pg from 'pg';

const options = {
  host: process.env.PGHOST,
  database: 'tickets',
  max: 12,
  idleTimeoutMillis: 30_000,
  connectionTimeoutMillis: 2, // seconds
};

export const pool = new pg.Pool(options);
