const { Client } = require('pg');

// One client outside of any pool: it only listens.
async function main() {
  const client = new Client({ host: '127.0.0.1', port: 6432, database: 'events', connectionTimeoutMillis: 5000 });
  await client.connect();
  await client.query('LISTEN order_created');
  client.on('notification', (msg) => console.log(msg.channel));
}

main();
