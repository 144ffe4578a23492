// What the service does with its database.
'use strict';

// The bank of the laboratory: it takes its time, and declines every tenth card.
const BANK_MS = 30;
async function bankDeclines(user) {
  await new Promise((resolve) => setTimeout(resolve, BANK_MS));
  return user % 10 === 0;
}

async function pay(pool, user) {
  const client = await pool.connect();
  await client.query('begin');
  const { rows } = await client.query('select name from account where id = $1', [user]);
  if (await bankDeclines(user)) {
    return { user, paid: false };
  }
  await client.query('insert into payment (account_id, cents) values ($1, $2)', [user, 4200]);
  await client.query('commit');
  client.release();
  return { user: rows[0].name, paid: true };
}

async function account(pool, user) {
  const { rows } = await pool.query(
    'select id, cents, at from payment where account_id = $1 order by id desc limit 10',
    [user],
  );
  return { user, payments: rows };
}

async function catalogue(pool, user) {
  const { rows } = await pool.query('select id, name, cents from article where id between $1 and $1 + 10', [user]);
  return { articles: rows };
}

module.exports = { pay, account, catalogue };
