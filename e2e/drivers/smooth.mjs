// How a page of many pools and leases feels: what a second costs the browser, how
// long it is deaf to a person, what its memory does. `node smooth.mjs URL SECONDS`.

import { launch } from "./browser.mjs";

const [url, seconds] = [process.argv[2], Number(process.argv[3] || 20)];
/** Longest that a person is not answered before it feels stuck, as web.dev's "long task". */
const LONG_MS = 50;

const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
const tools = await page.context().newCDPSession(page);
await tools.send("Performance.enable");
const figures = async () => Object.fromEntries((await tools.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]));

let bad = 0;
for (const view of ["overview", "pools", "leases", "leases?sort=silent&filter=app-1"]) {
  await page.goto(`${url}#/${view}`);
  await page.waitForFunction(() => performance.getEntriesByName("verdict").length > 0);
  await page.waitForTimeout(2000);
  const before = await figures();
  const gaps = await page.evaluate((ms) => new Promise((done) => {
    const all = [];
    const long = [];
    const watch = new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration)));
    watch.observe({ entryTypes: ["longtask"] });
    const begun = performance.now();
    let last = begun;
    const frame = (now) => {
      all.push(now - last);
      last = now;
      if (now - begun < ms) return requestAnimationFrame(frame);
      watch.disconnect();
      done({ all: all.slice(1).sort((a, b) => a - b), long });
    };
    requestAnimationFrame(frame);
  }), seconds * 1000);
  await tools.send("HeapProfiler.collectGarbage");
  const after = await figures();
  const at = (share) => gaps.all[Math.min(gaps.all.length - 1, Math.floor(gaps.all.length * share))].toFixed(1);
  const busy = (100 * (after.TaskDuration - before.TaskDuration)) / seconds;
  const longest = Math.max(0, ...gaps.long);
  console.log(`${view}: main thread ${busy.toFixed(1)} %, frames p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms, ${gaps.long.length} tasks over ${LONG_MS} ms (longest ${longest.toFixed(0)} ms), heap ${(after.JSHeapUsedSize / 1048576).toFixed(1)} MiB, ${after.Nodes} nodes`);
  if (longest > 4 * LONG_MS) bad += 1;
}
await browser.close();
process.exit(bad ? 1 : 0);
