// The demonstration's buttons in a real browser: each is there, one at a time runs,
// it can be stopped, and what happened is told. One line for each check; it ends
// with 1 when one failed.
//
// PLIMSOLL_PAGE    where the page is

import { launch } from "./browser.mjs";
import { accessible, check, failures, must, narrowed, open, same, textOf, tolerate, until } from "./page/kit.mjs";

const browser = await launch();
try {
  const page = await open(browser);
  const panel = page.locator("section.demo");
  const state = panel.locator("[role=status]");
  const outages = ["000", "001", "002", "003", "004"];

  await check("a button for each outage, with guards and without", async () => {
    // Its first second is not over: there is nothing to show yet.
    tolerate(/503 .*\/v1\//);
    await panel.locator("li").nth(4).waitFor();
    for (const number of outages) {
      const row = panel.locator("li", { hasText: number });
      same(`buttons of ${number}`, await row.locator("button").allInnerTexts(), ["with guards", "without"]);
    }
  });

  await check("the panel is accessible, and fits a telephone", async () => {
    await accessible(page);
    await narrowed(page, "the page with the panel");
  });

  await check("an outage runs, alone, and what happens is told", async () => {
    await panel.getByRole("button", { name: /^000, .*, without$/ }).click();
    await until("it runs", async () => (await textOf(state)).includes("Outage 000 runs, the guards only watch."));
    const disabled = await panel.locator("li button[aria-disabled=true]").count();
    same("buttons that wait", disabled, outages.length * 2);
    same("the one that is pressed", await panel.locator("li button[aria-pressed=true]").getAttribute("aria-label").then((l) => l.slice(0, 3)), "000");
    await until("words", async () => (await panel.locator("dl.story dd").count()) > 0);
  });

  await check("another one is refused meanwhile, in words", async () => {
    tolerate(/400 .*\/v1\/demo/);
    await panel.getByRole("button", { name: /^004, .*, with guards$/ }).click({ force: true });
    await page.locator(".toast, [role=alert]").filter({ hasText: "000" }).first().waitFor();
    must("000 goes on", (await textOf(state)).includes("Outage 000"));
  });

  await check("it is stopped, undone, and the others may be tried", async () => {
    await panel.getByRole("button", { name: "Stop and undo" }).click();
    await until("its end", async () => !(await textOf(state)).includes(" runs"));
    await until("its story", async () => (await panel.locator("dl.story dd").count()) > 0);
    same("buttons that wait", await panel.locator("li button[aria-disabled=true]").count(), 0);
  });
} finally {
  await browser.close();
}
process.exit(failures() ? 1 : 0);
