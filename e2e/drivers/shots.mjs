// Pictures of the live page, as soon as it has made up its mind: node shots.mjs ADDRESS light=FILE [dark=FILE]
//
// It opens the page, says "open", waits for a line on its input, takes the pictures and prints what the page says.
// See browser.mjs for what the environment names.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { launch } from "./browser.mjs";
import { smaller } from "./png.mjs";

const [address, ...wanted] = process.argv.slice(2);
/** The first screen is promised to fit in here. */
const viewport = { width: 1280, height: 800 };
/** The verdict stands so long before it counts as settled. */
const SETTLED_MS = 3000;
const PATIENCE_MS = 60_000;

/** In the page: what it says once that has stood for a while. */
function settled(ms) {
  const text = (query) => document.querySelector(query)?.textContent.trim() || "";
  const cause = document.querySelector(".answers:not([hidden])") ? text(".answers li .cause") : "";
  // Drift hurts nobody: there is no cause to wait for, but an alert.
  const drift = document.querySelector(".changes .f-drift") && text(".firing .pill");
  const curves = document.querySelectorAll(".charts .l-used[d*=L], .charts .l-service_us[d*=L]").length === 2;
  const sign = `${document.querySelector(".verdict")?.dataset.state} ${cause || drift}`;
  const now = performance.now();
  if (globalThis.shotSign !== sign) [globalThis.shotSign, globalThis.shotSince] = [sign, now];
  if (!(cause || drift) || !curves || now - globalThis.shotSince < ms) return null;
  return [text(".state-word"), text(".summary"), cause && `${cause}, ${text(".answers li .sure")}`, drift].filter(Boolean).join(" · ");
}

// Letters in shades of grey alone: pictures look the same on every screen.
const browser = await launch(["--disable-lcd-text"]);
try {
  const pages = [];
  for (const [scheme, file] of wanted.map((word) => word.split("=", 2))) {
    const page = await browser.newPage({ viewport, deviceScaleFactor: 1, colorScheme: scheme, reducedMotion: "reduce" });
    await page.goto(address);
    pages.push([page, file]);
  }
  console.log("open");
  // Whoever asked is gone: nobody wants a picture.
  process.stdin.once("end", () => process.exit(1));
  await once(process.stdin, "data");
  let said = "";
  for (const [page, file] of pages) {
    said = await (await page.waitForFunction(settled, SETTLED_MS, { timeout: PATIENCE_MS, polling: 200 })).jsonValue();
    writeFileSync(file, smaller(await page.screenshot()));
  }
  console.log(said);
} finally {
  await browser.close();
}
process.exit(0);
