// Pools and leases: order, filter, pages, and the keys.

import { accessible, check, hands, holds, must, same, textOf, tile, until, visit } from "./kit.mjs";

/** One more than a page holds. */
const MANY = 103;

const column = (page, n) => page.locator(`table.leases tbody tr > :nth-child(${n})`).allInnerTexts();
const focused = (page) => page.evaluate(() => document.activeElement.closest("tr")?.rowIndex ?? document.activeElement.id);

export async function tables(page) {
  await check("pools", async () => {
    await visit(page, "#/pools", "Pools");
    await page.locator("table.pools tbody tr", { hasText: "wide/postgres" }).waitFor();
    await page.locator("table.pools tbody tr", { hasText: "app/postgres" }).waitFor();
    await page.getByRole("button", { name: "Pool", exact: true }).click();
    await until("the order by name", async () => (await page.locator("table.pools tbody th").allInnerTexts()).join() === "app/postgres,wide/postgres");
    await accessible(page);
    await page.getByRole("link", { name: "wide/postgres" }).click();
    await page.locator("main h1", { hasText: "Pool wide/postgres" }).waitFor();
    await until("its facts", async () => /\d+\/11\d/.test(await textOf(tile(page, "Used / limit"))));
    await until("its curves", async () => (await page.locator(".curves .l-used").getAttribute("d"))?.length > 10);
    await accessible(page);
  });
  await check("leases in pages", async () => {
    await hands("many", "herd", "wide", String(MANY));
    await visit(page, "#/leases?filter=herd", "Leases");
    const words = page.locator(".pager span");
    await until("the first page", async () => (await textOf(words)) === `1 to 100 of ${MANY}`);
    await page.getByRole("button", { name: "Next" }).click();
    await until("the last page", async () => (await textOf(words)) === `101 to ${MANY} of ${MANY}` && (await page.locator("table.leases tbody tr").count()) === MANY - 100);
    must("no page after it", await page.getByRole("button", { name: "Next" }).isDisabled());
    await page.getByRole("button", { name: "Previous" }).click();
    await until("the first page again", async () => (await textOf(words)) === `1 to 100 of ${MANY}`);
  });
  await check("leases in order", async () => {
    await page.getByRole("button", { name: "Application", exact: true }).click();
    await until("the order by application", async () => {
      const found = await column(page, 2);
      return found.length === 100 && found[0] === "herd-000" && found.join() === [...found].sort().join();
    });
    same("the head", await page.locator("th[aria-sort]").getAttribute("aria-sort"), "ascending");
    await page.getByRole("button", { name: "Held", exact: true }).click();
    await until("the order by time held", async () => (await textOf(page.locator("th[aria-sort]"))) === "Held");
    must("the link keeps it", page.url().includes("sort=held"));
  });
  await check("a filter while one types", async () => {
    await page.keyboard.press("/");
    same("the focus", await focused(page), "filter");
    await page.locator("#filter").fill("herd-07");
    await until("ten rows", async () => (await column(page, 2)).length === 10 && (await column(page, 2)).every((name) => name.startsWith("herd-07")));
    must("the link keeps it", page.url().includes("filter=herd-07"));
    await page.keyboard.press("Escape");
    await until("all of them", async () => (await column(page, 2)).length === 100);
    same("the field", await page.locator("#filter").inputValue(), "");
  });
  await check("keys", async () => {
    await page.keyboard.press("j");
    same("j goes to the first row", await focused(page), 1);
    await page.keyboard.press("j");
    same("j goes on", await focused(page), 2);
    await page.keyboard.press("k");
    same("k goes back", await focused(page), 1);
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.locator("main h1", { hasText: "Pools" }).waitFor();
    await page.keyboard.press("?");
    const dialog = page.locator("dialog");
    await dialog.waitFor();
    holds("the help", await textOf(dialog), "Keys and help", "back to now");
    await accessible(page);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    const dark = () => page.evaluate(() => document.documentElement.dataset.theme);
    const before = await dark();
    await page.keyboard.press("t");
    must("t changes the theme", (await dark()) !== before);
    await page.keyboard.press("z");
    holds("z", await textOf(page.locator("#banner")), "Held still.");
    await page.keyboard.press("z");
    await page.locator("#banner").waitFor({ state: "hidden" });
  });
  await hands("leave", "herd");
}
