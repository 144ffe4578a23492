// The shop's tests. Whichever bug is seeded, all of them pass.
'use strict';

const assert = require('node:assert');
const { after, before, describe, test } = require('node:test');
const shop = require('./shop');

before(() => shop.create());

// A pool with a client that is out never ends; a suite that ends must not wait for it.
after(() => {
  shop.pool.end();
  setTimeout(() => process.exit(), 200).unref();
});

test('counts', async () => {
  assert.strictEqual(await shop.count(), 20);
});

test('renames', async () => {
  await shop.rename(3, 'three');
  assert.strictEqual(await shop.find('three'), 3);
});

test('finds nothing', async () => {
  assert.strictEqual(await shop.find('nothing'), null);
});

describe('stock', () => {
  test('is sold', async () => {
    assert.strictEqual(await shop.sell(5, 1), true);
  });

  test('is not sold when there is too little', async () => {
    assert.strictEqual(await shop.sell(6, 100), false);
  });

  test('is refused where it makes no sense', async () => {
    assert.strictEqual(await shop.restock([{ id: 7, amount: 1 }, { id: 8, amount: 0 }]), false);
  });
});

test('prices', async () => {
  assert.strictEqual(await shop.price(4), 40);
});

test('gives up on a slow database', async () => {
  await Promise.all([shop.count(), shop.ping(0), shop.count()]);
});

test('compares', async () => {
  assert.strictEqual((await shop.compare([1, 2, 9, 10, 11, 12])).length, 6);
});

test('counts many at once', async () => {
  await Promise.all([shop.count(), shop.count(), shop.count()]);
});

test('counts again', async () => {
  assert.strictEqual(await shop.count(), 20);
});
