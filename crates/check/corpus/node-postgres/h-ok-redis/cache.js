const { createPool } = require('generic-pool');
module.exports = createPool({ create: () => connect(), destroy: c => c.quit() }, { max: 0, min: 5, acquireTimeoutMillis: 5 });
