// Starts the service, asks each route a few times, and ends it: a smoke test as many have.
'use strict';

const { spawn } = require('node:child_process');
const path = require('node:path');

(async () => {
  const server = spawn(process.execPath, [path.join(__dirname, 'server.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise((resolve) => server.stdout.once('data', (text) => resolve(Number(text))));
  let failed = 0;
  for (const route of ['/stock', '/refund', '/stock', '/export', '/stock', '/refund', '/stock']) {
    const answer = await fetch(`http://127.0.0.1:${port}${route}`).catch(() => ({ ok: false }));
    if (!answer.ok) failed += 1;
    await answer.text?.();
  }
  server.kill('SIGTERM');
  server.once('exit', () => process.exit(failed));
})();
