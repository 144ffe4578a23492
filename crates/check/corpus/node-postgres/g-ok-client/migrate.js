const { Client } = require('pg');
const client = new Client({ connectionString: process.env.DATABASE_URL, statement_timeout: 0 });
client.connect().then(() => client.query('ALTER TABLE a ADD b int')).finally(() => client.end());
