const { createPool } = require('generic-pool');
const { launchBrowser } = require('./browser');

// browsers, not connections
module.exports = createPool(
  { create: launchBrowser, destroy: (b) => b.close() },
  { max: 0, min: 4, acquireTimeoutMillis: 0, password: 'none' },
);
