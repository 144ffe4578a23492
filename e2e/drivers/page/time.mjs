// Ranges of time, and links to a moment.

import { BASE, accessible, check, figureOf, holds, must, open, same, textOf, tile, until, visit } from "./kit.mjs";

const pressed = (page) => page.locator("#ranges button[aria-pressed=true]").innerText();

export async function ranges(page) {
  await check("ranges of time", async () => {
    await visit(page, "#/overview", "Overview");
    const spans = [];
    page.on("request", (r) => {
      const { pathname, searchParams } = new URL(r.url());
      if (pathname === "/v1/chart") spans.push(searchParams.get("until_ms") - searchParams.get("from_ms"));
    });
    await page.locator("#ranges").getByRole("button", { name: "5m", exact: true }).click();
    await until("five minutes are asked for", () => spans.includes(300_000));
    same("the button", await pressed(page), "5m");
    for (const [key, range, ms] of [["]", "15m", 900_000], ["]", "1h", 3_600_000], ["[", "15m", 900_000]]) {
      spans.length = 0;
      await page.keyboard.press(key);
      await until(`${range} is asked for`, () => spans.includes(ms));
      same("the button", await pressed(page), range);
    }
  });
}

/** A moment is a link: the past when opened afresh, and the way back. */
export async function past(browser, page, calm) {
  await check("a link to a moment", async () => {
    await visit(page, "#/overview", "Overview");
    await page.keyboard.press("c");
    const link = await until("a link in the clipboard", async () => {
      const text = await page.evaluate(() => navigator.clipboard.readText());
      return text.includes("at=") && text;
    });
    must(`it leads here: ${link}`, link.startsWith(`${BASE}/#/overview?`) && /[?&]at=\d{13}/.test(link));
  });
  await check("a moment that is over, opened afresh", async () => {
    must("it is another now", (await figureOf(tile(page, "Waiting"))) > 0);
    const other = await open(browser, { hash: `#/overview?at=${calm}` });
    const banner = other.locator("#banner");
    const when = new Date(calm).toISOString().slice(11, 19);
    await banner.waitFor();
    holds("the banner", await textOf(banner), "This is the past:", when, "Back to now");
    await until("that moment's figures", async () => (await figureOf(tile(other, "Waiting"))) === 0);
    holds("the page", await textOf(other.locator("main")), "Leases of the past are not kept.");
    await until("the title", async () => (await other.title()).startsWith("past · "));
    await accessible(other);
    await other.getByRole("link", { name: "Leases", exact: true }).click();
    await until("no leases of then", async () => (await textOf(other.locator("main"))).includes("Leases of the past are not kept."));
    await other.getByRole("link", { name: "Overview", exact: true }).click();
    await banner.getByRole("button", { name: "5 s later" }).click();
    await until("five seconds later", () => other.url().includes(`at=${calm + 5_000}`));
    await banner.getByRole("button", { name: "Back to now (n)" }).click();
    await banner.waitFor({ state: "hidden" });
    await until("now", async () => (await figureOf(tile(other, "Waiting"))) > 0);
    await other.context().close();
  });
  await check("a moment picked on a chart", async () => {
    const probe = page.locator(".probe").first();
    await probe.focus();
    await page.keyboard.press("ArrowLeft");
    await until("values are read out", async () => /used \d/.test(await probe.getAttribute("aria-valuetext")));
    await page.keyboard.press("Enter");
    await page.locator("#banner").waitFor();
    await until("that moment", async () => /[?&]at=\d+/.test(page.url()) && (await page.locator(".curves .pinned").first().getAttribute("d")));
    await page.locator("#main").focus();
    await page.keyboard.press("n");
    await page.locator("#banner").waitFor({ state: "hidden" });
  });
}
