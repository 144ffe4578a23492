import { DataSource } from 'typeorm';

export default new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: ['dist/**/*.entity.js'],
  extra: { max: 10, connectionTimeoutMillis: 5000, idleTimeoutMillis: 30000 },
});
