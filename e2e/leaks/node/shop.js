// A small shop over node-postgres. `SEED` names the bug that it has today.
'use strict';

const { Client, Pool } = require('pg');

const SEED = process.env.SEED || '';
const connectionString = process.env.DATABASE_URL;
const pool = new Pool({ connectionString, max: 6, allowExitOnIdle: true });

async function create() {
  await pool.query('drop table if exists items');
  await pool.query('create table items (id int primary key, name text not null, stock int not null)');
  await pool.query("insert into items select n, 'item ' || n, n from generate_series(1, 20) n");
}

// --- the healthy part ---

async function count() {
  const { rows } = await pool.query('select count(*)::int as n from items');
  return rows[0].n;
}

async function rename(id, name) {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('update items set name = $2 where id = $1', [id, name]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

// --- where the bugs are ---

async function find(name) {
  const client = await pool.connect();
  const { rows } = await client.query('select id from items where name = $1', [name]);
  if (rows.length === 0) {
    if (SEED !== 'early_return') client.release();
    return null;
  }
  client.release();
  return rows[0].id;
}

async function sell(id, amount) {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query('update items set stock = stock - $2 where id = $1 returning stock', [id, amount]);
    if (rows[0].stock < 0) {
      if (SEED !== 'begin_without_end') await client.query('rollback');
      return false;
    }
    await client.query('commit');
    return true;
  } finally {
    client.release();
  }
}

async function restock(rows) {
  const client = await pool.connect();
  try {
    await client.query('begin');
    for (const { id, amount } of rows) {
      if (amount <= 0) throw new Error('marker-in-code');
      await client.query("update items set stock = stock + $2, name = name || 'marker-in-statement' where id = $1", [id, amount]);
    }
    await client.query('commit');
  } catch {
    if (SEED === 'error_path') return false;
    await client.query('rollback');
    client.release();
    return false;
  }
  client.release();
  return true;
}

const kept = [];

async function price(id) {
  const client = new Client({ connectionString });
  await client.connect();
  const { rows } = await client.query('select id * 10 as price from items where id = $1', [id]);
  if (SEED === 'client_not_ended') kept.push(client);
  else await client.end();
  return rows[0].price;
}

/** Gives up when the database is slow; whoever is late must still be let go. */
async function ping(limit) {
  const connecting = pool.connect();
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, limit, null);
  });
  const client = await Promise.race([connecting, late]);
  clearTimeout(timer);
  if (client) {
    await client.query('select max(stock) from items');
    client.release();
    return true;
  }
  connecting.then(async (client) => {
    await client.query('select min(stock) from items');
    if (SEED !== 'lost_race') client.release();
  });
  return false;
}

async function compare(ids) {
  const clients = [];
  const found = [];
  try {
    for (const id of ids) {
      if (clients.length === 0 || SEED === 'pool_outgrown') clients.push(await pool.connect());
      const { rows } = await clients.at(-1).query('select stock from items where id = $1', [id]);
      found.push(rows[0].stock);
    }
  } finally {
    for (const client of clients) client.release();
  }
  return found;
}

module.exports = { pool, create, count, rename, find, sell, restock, price, ping, compare };
