// The service's own tests. ROUTES names the file to test, where it is not this directory's.
'use strict';

const assert = require('node:assert');
const path = require('node:path');
const { after, test } = require('node:test');
const { Pool } = require('pg');
const routes = require(path.resolve(process.env.ROUTES ?? 'routes.js'));

const pool = new Pool({ max: 4, connectionTimeoutMillis: 3000, allowExitOnIdle: true });
after(() => {
  // The end of the process closes what the tests forgot.
  setTimeout(() => process.exit(), 500).unref();
});

test('a payment', async () => {
  assert.equal((await routes.pay(pool, 1)).paid, true);
});

test('a card that the bank declines', async () => {
  assert.equal((await routes.pay(pool, 10)).paid, false);
});

test('an account shows its payments', async () => {
  assert.equal((await routes.account(pool, 1)).user, 1);
});

test('the catalogue', async () => {
  assert.equal((await routes.catalogue(pool, 5)).articles.length, 11);
});
