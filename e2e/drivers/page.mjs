// The live page in a real browser: one story, from the first look to the moment
// the pooler is gone. One line for each check; it ends with 1 when one failed.
//
// PLIMSOLL_PAGE    where the page is
// PLIMSOLL_TOKENS  {viewer, operator, admin} as JSON
//
// Lines that begin with "?" ask whoever started it to do something at the pooler
// or as its client; the answer comes as a line of JSON on standard input.

import { launch } from "./browser.mjs";
import { actions } from "./page/actions.mjs";
import { failures, hands, open } from "./page/kit.mjs";
import { firstLook, firstPaint, gone, locked } from "./page/begin.mjs";
import { incidents } from "./page/incidents.mjs";
import { names } from "./page/names.mjs";
import { changed, settings } from "./page/settings.mjs";
import { tables } from "./page/tables.mjs";
import { past, ranges } from "./page/time.mjs";

const browser = await launch();
try {
  await firstPaint(browser);
  const page = await open(browser);
  const calm = await firstLook(page);
  // From here on all connections of one pool are held: its alert takes its time.
  await hands("exhaust");
  await changed();
  await names(browser, page);
  await tables(page);
  await ranges(page);
  await actions(page);
  await settings(page);
  await incidents(page);
  await past(browser, page, calm);
  await locked(browser);
  await gone(page);
} finally {
  await browser.close();
}
process.exit(failures() ? 1 : 0);
