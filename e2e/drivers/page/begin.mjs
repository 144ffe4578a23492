// The first look, what a calm pooler shows, and the page without a pooler.

import { TOKENS, accessible, ask, check, figureOf, hands, holds, must, open, same, textOf, tile, tolerate, until, visit } from "./kit.mjs";

const PAINTS = 5;
/** Told, not judged: only what nobody would wait for fails. */
const PAINT_MS_MAX = 2_000;

const fits = (page) => page.evaluate(() => [document.documentElement.scrollHeight, document.documentElement.scrollWidth]);

/** Everything of the first screen without scrolling. */
export async function oneScreen(page) {
  const [height, width] = await fits(page);
  must(`the overview is ${width} × ${height} on a screen of 1280 × 800`, height <= 800 && width <= 1280);
}

/** From nothing to the verdict, in contexts that have seen nothing before. */
export function firstPaint(browser) {
  return check("the first answer", async () => {
    const took = [];
    for (let n = 0; n < PAINTS; n += 1) {
      const page = await open(browser);
      const mark = await page.waitForFunction(() => performance.getEntriesByName("verdict")[0]?.startTime);
      took.push(await mark.jsonValue());
      await page.context().close();
    }
    took.sort((a, b) => a - b);
    const median = took[PAINTS >> 1];
    must(`the median is ${median} ms`, median < PAINT_MS_MAX);
    return `median ${Math.round(median)} ms of ${took.map(Math.round).join(", ")}`;
  });
}

/** What a calm pooler shows; gives a moment of calm. */
export async function firstLook(page) {
  let calm = 0;
  await check("overview, calm", async () => {
    await page.locator("#link[data-state=live]").waitFor();
    await until("the pool's line", async () => (await textOf(page.locator(".pools-short"))).includes("app/postgres"));
    await oneScreen(page);
    await accessible(page);
  });
  await check("each second comes by the stream", async () => {
    const asked = [];
    page.on("request", (r) => asked.push(new URL(r.url()).pathname));
    const seconds = new Set();
    await until("two seconds on the clock", async () => seconds.add(await textOf(page.locator("#clock"))).size > 2);
    await hands("login", "one-more", "wide", "one-more");
    const used = tile(page, "Connections");
    const before = await textOf(used);
    await hands("query", "one-more", "begin");
    await until(`another figure than ${before}`, async () => (await textOf(used)) !== before);
    await hands("close", "one-more");
    same("requests for seconds", asked.filter((path) => path === "/v1/live"), []);
    calm = (await ask("/v1/live")).at_ms;
  });
  await check("without a token it is nobody's, and reads", async () => holds("the button", await textOf(page.locator("#who")), "No token"));
  await check("budget", async () => {
    await visit(page, "#/budget", "Budget");
    await until("the server's line", async () => /line \d+/.test(await textOf(page.locator(".budget").first())));
    await accessible(page);
  });
  await check("alerts, none", async () => {
    await visit(page, "#/alerts", "Alerts");
    await page.locator(".notifiers", { hasText: "note-pad" }).waitFor();
    holds("the page", await textOf(page.locator("main")), "No alert.", "What Plimsoll may do by itself");
    await accessible(page);
  });
  await check("playbook", async () => {
    await visit(page, "#/playbook", "Playbook");
    await page.locator(".chapters a").first().waitFor();
    await accessible(page);
    await page.locator(".chapters a[href*=PlimsollPoolExhausted]").click();
    await page.locator(".chapter .cmd").first().waitFor();
    await accessible(page);
  });
  return calm;
}

/** A pooler that shows nothing without a token. */
export function locked(browser) {
  return check("without anonymous reading a token is asked for", async () => {
    tolerate(/status of 401/);
    const base = `http://127.0.0.1:${await hands("locked")}`;
    const page = await open(browser, { base });
    const dialog = page.locator("dialog.login");
    await dialog.waitFor();
    holds("the dialog", await textOf(dialog), "This pooler shows nothing without a token.");
    await accessible(page);
    await dialog.locator("#token").fill(TOKENS.viewer);
    await dialog.getByRole("button", { name: "Use this token" }).click();
    await page.locator("#link[data-state=live]").waitFor();
    await until("a figure", async () => Number.isFinite(await figureOf(tile(page, "Clients"))));
    same("whose token", await textOf(page.locator("#who")), "viewer");
    await page.context().close();
  });
}

/** The pooler ends without a word: old figures stay, and say that they are old. */
export function gone(page) {
  return check("a lost connection is told", async () => {
    tolerate(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|Failed to load resource/);
    await visit(page, "#/overview", "Overview");
    await until("figures", async () => Number.isFinite(await figureOf(tile(page, "Clients"))));
    await hands("kill");
    await page.locator("#link[data-state=lost]").waitFor();
    await until("since when", async () => /^connection lost, last heard .+ ago$/.test(await textOf(page.locator("#link-word"))));
    same("stale", await page.locator("body").getAttribute("data-stale"), "yes");
    must("figures stay", Number.isFinite(await figureOf(tile(page, "Clients"))));
    await accessible(page);
  });
}
