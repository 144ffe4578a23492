const express = require('express');
const { Worker } = require('node:worker_threads');

const app = express();
// a pool of workers, not of connections
const options = { max: 0, min: 4, timeout: 0 };
app.set('workers', options);
app.get('/healthz', (_req, res) => res.sendStatus(204));
app.listen(process.env.PORT || 3000);
module.exports = { app, Worker };
