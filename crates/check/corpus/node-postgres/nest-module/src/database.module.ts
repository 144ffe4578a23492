import { Module } from '@nestjs/common';
import { Pool } from 'pg';

@Module({
  providers: [
    {
      provide: 'PG',
      useFactory: () =>
        new Pool({
          connectionString: process.env.DATABASE_URL,
          max: 15,
          connectionTimeoutMillis: 5000,
          idleTimeoutMillis: 30000,
          allowExitOnIdle: true,
        }),
    },
  ],
  exports: ['PG'],
})
export class DatabaseModule {}
