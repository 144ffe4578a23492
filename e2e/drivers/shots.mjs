// A picture of the live page, as soon as it has made up its mind: node shots.mjs ADDRESS light|dark FILE
//
// It prints what the page says. See browser.mjs for what the environment names.

import { writeFileSync } from "node:fs";
import { launch } from "./browser.mjs";
import { smaller } from "./png.mjs";

const [address, scheme, file] = process.argv.slice(2);
/** The first screen is promised to fit in here. */
const viewport = { width: 1280, height: 800 };
/** The verdict stands so long before it counts as settled. */
const SETTLED_MS = 3000;
const PATIENCE_MS = 60_000;

// Letters in shades of grey alone: pictures look the same on every screen.
const browser = await launch(["--disable-lcd-text"]);
try {
  const page = await browser.newPage({ viewport, deviceScaleFactor: 1, colorScheme: scheme, reducedMotion: "reduce" });
  await page.goto(address);
  const said = await page.waitForFunction((settled) => {
    const text = (query) => document.querySelector(query)?.textContent.trim() || "";
    const cause = document.querySelector(".answers:not([hidden])") ? text(".answers li .cause") : "";
    // Drift hurts nobody: there is no cause to wait for, but an alert.
    const drift = document.querySelector(".changes .f-drift") && text(".firing .pill");
    const curves = document.querySelectorAll(".charts .l-used[d*=L], .charts .l-service_us[d*=L]").length === 2;
    const sign = `${document.querySelector(".verdict")?.dataset.state} ${cause || drift}`;
    const now = performance.now();
    if (globalThis.shotSign !== sign) [globalThis.shotSign, globalThis.shotSince] = [sign, now];
    if (!(cause || drift) || !curves || now - globalThis.shotSince < settled) return null;
    return [text(".state-word"), text(".summary"), cause && `${cause}, ${text(".answers li .sure")}`, drift].filter(Boolean).join(" · ");
  }, SETTLED_MS, { timeout: PATIENCE_MS, polling: 200 });
  writeFileSync(file, smaller(await page.screenshot()));
  console.log(await said.jsonValue());
} finally {
  await browser.close();
}
