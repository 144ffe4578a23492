import type { Knex } from 'knex';
const config: Knex.Config = {
  client: 'pg',
  connection: process.env.DATABASE_URL,
  pool: { min: 0, max: 10 },
  acquireConnectionTimeout: 10000,
};
export default config;
