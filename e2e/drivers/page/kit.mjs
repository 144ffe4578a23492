// What the story of the live page is told with: checks, bounded waits, a watched
// page, axe-core, and the hands that do things at the pooler.

import { createInterface } from "node:readline";
import { axe } from "../browser.mjs";

/** Longest wait for anything: generous, for loaded machines. */
export const PATIENCE_MS = 20_000;
const LOOK_AGAIN_MS = 40;

export const BASE = process.env.PLIMSOLL_PAGE;
export const TOKENS = JSON.parse(process.env.PLIMSOLL_TOKENS || "{}");

let failed = 0;
export const failures = () => failed;

/** What no page may do: said once, with the check in which it was seen. */
const faults = [];
let tolerated = null;
const pages = [];

/** One check: its name, and ok or what failed. The story goes on either way. */
export async function check(name, work) {
  const begun = performance.now();
  let said = "";
  let wrong = "";
  try {
    said = (await work()) || "";
  } catch (error) {
    wrong = String(error.message || error).replace(/\u001b\[\d+m/g, "");
    await clear();
  }
  const seen = faults.splice(0);
  tolerated = null;
  if (seen.length) wrong = [wrong, ...seen].filter(Boolean).join("; ");
  const took = `${Math.round(performance.now() - begun)} ms`;
  if (wrong) failed += 1;
  console.log(wrong ? `FAIL ${name} (${took}): ${wrong.replaceAll("\n", "\n     ")}` : `ok   ${name}${said ? `: ${said}` : ""} (${took})`);
}

/** What a failed check left open would fail the next ones too. */
async function clear() {
  for (const page of pages.filter((p) => !p.isClosed())) {
    await page.evaluate(() => document.querySelectorAll("dialog").forEach((d) => d.close())).catch(() => {});
  }
}

export function must(what, condition) {
  if (!condition) throw new Error(what);
}

export function same(what, found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a}, wanted ${b}`);
}

/** Text that must hold each of these. */
export function holds(what, text, ...parts) {
  for (const part of parts) must(`${what} lacks ${JSON.stringify(part)}: ${text}`, String(text).includes(part));
}

/** Waits until `look` gives something; what it waited for stands in the error. */
export async function until(what, look, patience = PATIENCE_MS) {
  const deadline = performance.now() + patience;
  let last = "";
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = `; at last: ${error.message}`;
    }
    if (performance.now() > deadline) throw new Error(`waited ${patience / 1000} s for: ${what}${last}`);
    await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS));
  }
}

// ---- the hands: who started us has the clients and the pooler ----

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks for something to be done at the pooler; what came of it. */
export async function hands(...ask) {
  console.log(`? ${JSON.stringify(ask)}`);
  const { value, done } = await answers.next();
  if (done) throw new Error("nobody does it any more");
  const { ok, error } = JSON.parse(value);
  if (error) throw new Error(`${ask.join(" ")}: ${error}`);
  return ok;
}

// ---- a page that is watched ----

/** For the rest of this check the browser may say this in its console. */
export const tolerate = (pattern) => {
  tolerated = pattern;
};

/** A page in a context of its own, with its faults collected. */
export async function open(browser, { width = 1280, height = 800, base = BASE, hash = "", dark = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, reducedMotion: "reduce", colorScheme: dark ? "dark" : "light" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  pages.push(page);
  const fault = (text) => !tolerated?.test(text) && faults.push(text);
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && fault(`console ${m.type()}: ${m.text()} (${m.location().url})`));
  page.on("pageerror", (error) => fault(`uncaught: ${error.message}`));
  page.on("dialog", (d) => {
    fault(`a dialog of the browser: ${d.message()}`);
    d.dismiss();
  });
  page.on("request", (r) => new URL(r.url()).origin !== base && fault(`a request to elsewhere: ${r.url()}`));
  page.on("popup", (p) => fault(`another window: ${p.url()}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`CSP ${e.violatedDirective}: ${e.blockedURI} ${e.sample}`));
  });
  await page.goto(`${base}/${hash}`, { waitUntil: "commit" });
  return page;
}

/** To a view, as a link does it; it is there when its head is. */
export async function visit(page, hash, head) {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  if (head) await page.locator("main h1", { hasText: head }).waitFor({ state: "attached" });
}

/** The rules of accessibility, in the light and in the dark. */
export async function accessible(page) {
  const found = [];
  for (const theme of ["light", "dark"]) {
    await page.evaluate((to) => {
      document.documentElement.dataset.theme = to;
    }, theme);
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe());
    const violations = await page.evaluate(async () => {
      const told = await axe.run(document, { resultTypes: ["violations"] });
      return told.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.html.slice(0, 160)} (${n.any.concat(n.all, n.none)[0]?.message || v.help})`).join(" | ")}`);
    });
    found.push(...violations.map((v) => `${theme}: ${v}`));
  }
  same("violations", found, []);
}

/** A telephone's screen. */
export const NARROW = { width: 390, height: 844 };

/** Nothing is wider than the screen: tables scroll in themselves. */
export async function narrowed(page, what) {
  const usual = page.viewportSize();
  await page.setViewportSize(NARROW);
  const [wide, there] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  await page.setViewportSize(usual);
  must(`${what} is ${wide} wide on a screen of ${there}`, wide <= there);
}

/** The text of an element, on one line. */
export const textOf = async (locator) => (await locator.innerText()).replace(/\s+/g, " ").trim();

export const tile = (page, label) => page.locator(".tile", { hasText: label }).locator("dd").first();

/** A number as the page shows it. */
export const figureOf = async (locator) => Number.parseFloat((await textOf(locator)).replaceAll("\u202f", ""));

/** Asks the API as a program would, from outside the browser. */
export async function ask(path, base = BASE) {
  const answer = await fetch(base + path, { headers: { Authorization: `Bearer ${TOKENS.admin}` } });
  must(`${path}: ${answer.status}`, answer.ok);
  return answer.json();
}
