// What every program here needs that looks at the live page in a real browser.
//
// PLIMSOLL_BROWSER_MODULES  the directory whose node_modules holds playwright-core and axe-core
// PLIMSOLL_CHROMIUM         the browser

import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PLIMSOLL_BROWSER_MODULES || ".", "node_modules", "nothing.js"));

/** Nothing of the browser's own may reach for a network: tests stay on this machine. */
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
];

/** A browser of our own; end it with `close()`. `more`: further switches. */
export function launch(more = []) {
  const { chromium } = require("playwright-core");
  return chromium.launch({ executablePath: process.env.PLIMSOLL_CHROMIUM || "/usr/bin/chromium", args: [...QUIET, ...more] });
}

/** The text of axe-core, to be put into a page. */
export const axe = () => require("axe-core").source;
