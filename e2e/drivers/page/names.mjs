// Names that others chose: markup, quotes, control characters, directions and a
// terminal's escapes. All of them are text, on a wide screen and a narrow one.

import { NARROW, accessible, check, hands, holds, must, narrowed, open, same, textOf, until, visit } from "./kit.mjs";

/** What a client says, and how it shows. As at PostgreSQL a name is ASCII that prints. */
const ODD = [
  ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
  ['"><script>alert(2)</script>', '"><script>alert(2)</script>'],
  ["' onfocus='alert(3)' autofocus='", "' onfocus='alert(3)' autofocus='"],
  ["&lt;b&gt;&#x202e;${alert(4)}{{5*5}}", "&lt;b&gt;&#x202e;${alert(4)}{{5*5}}"],
  ["pay\u202egnp.exe\u2066", "pay???gnp.exe???"],
  ["\u001b[2J\u001b]0;x\u0007red", "?[2J?]0;x?red"],
  ["W".repeat(63), "W".repeat(63)],
];

/** Nothing of a name became an element, and nothing ran. The page itself came with two scripts. */
async function clean(page) {
  same("scripts", await page.evaluate(() => document.scripts.length), 2);
  const found = await page.evaluate(() => [...document.querySelectorAll("body img, body script:not([type=module]), body iframe, body object, [autofocus], [onerror], [onfocus]")].map((e) => e.outerHTML));
  same("elements of others", found, []);
}

export async function names(browser, page) {
  await check("odd names in leases", async () => {
    for (const [n, [name]] of ODD.entries()) {
      await hands("login", `odd-${n}`, "wide", name);
      await hands("query", `odd-${n}`, "begin");
    }
    await visit(page, "#/leases?filter=wide", "Leases");
    await until("all of them", async () => {
      const found = await page.locator("table.leases tbody th").allInnerTexts();
      const lacking = ODD.map(([, shown]) => shown).filter((shown) => !found.includes(shown));
      must(`${JSON.stringify(lacking)} not among ${JSON.stringify(found)}`, lacking.length === 0);
      return true;
    });
    await clean(page);
    await accessible(page);
  });
  await check("odd names in a filter and a dialog", async () => {
    await visit(page, `#/leases?filter=${encodeURIComponent(ODD[0][0])}`, "Leases");
    await until("one row", async () => (await page.locator("table.leases tbody tr").count()) === 1);
    await page.getByRole("button", { name: /^Act on the lease of <img/ }).click();
    const dialog = page.locator("dialog");
    holds("the dialog", await textOf(dialog), ODD[0][1], "Last statement");
    await clean(page);
    await accessible(page);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  });
  await check("odd names in the overview", async () => {
    await visit(page, "#/overview", "Overview");
    await until("one of them", async () => {
      const shown = await textOf(page.locator("main"));
      return ODD.some(([, text]) => shown.includes(text));
    });
    await clean(page);
  });
  const narrow = await open(browser, NARROW);
  await check("a narrow screen", async () => {
    await narrow.locator("#link[data-state=live]").waitFor();
    for (const [hash, head] of [["overview", "Overview"], ["pools", "Pools"], ["pools/wide%2Fpostgres", "Pool"], ["leases", "Leases"], ["budget", "Budget"], ["settings", "Settings"], ["incidents", "Incidents"], ["alerts", "Alerts"], ["playbook", "Playbook"], ["playbook/leak", "borrowed"]]) {
      await visit(narrow, `#/${hash}`, head);
      await until(`something in ${hash}`, async () => (await textOf(narrow.locator("main"))).length > head.length + 20);
      await narrowed(narrow, hash);
    }
    await clean(narrow);
    await visit(narrow, "#/overview", "Overview");
    await accessible(narrow);
  });
  await narrow.context().close();
  for (const n of ODD.keys()) await hands("close", `odd-${n}`);
}
