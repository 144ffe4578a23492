// Trouble: the overview says so, alerts fire, and the incident that was opened
// is noted in, read, and closed.

import { accessible, ask, check, figureOf, hands, holds, must, narrowed, same, textOf, tile, until, visit } from "./kit.mjs";
import { oneScreen } from "./begin.mjs";
import { confirms, does } from "./dialogs.mjs";

/** The alert of an exhausted pool takes ten seconds, on a machine that is not busy. */
const ALERT_MS = 45_000;
const NOTE = "is it <script>the network</script>, or 'basket'?";

export async function incidents(page) {
  let id = "";
  await check("the overview in trouble", async () => {
    await visit(page, "#/overview", "Overview");
    await until("an incident in the bar", async () => (await textOf(page.locator("#firing"))).includes("incident"), ALERT_MS);
    holds("the bar", await textOf(page.locator("#firing")), "PoolExhausted");
    must("somebody waits", (await figureOf(tile(page, "Waiting"))) > 0);
    must("the verdict says so", ["hurt", "strained"].includes(await page.locator(".verdict").getAttribute("data-state")));
    holds("who holds", await textOf(page.locator(".trio")), "basket");
    await oneScreen(page);
    await accessible(page);
  });
  await check("an alert", async () => {
    await visit(page, "#/alerts", "Alerts");
    const card = page.locator("article", { hasText: "PlimsollPoolExhausted" });
    await card.waitFor();
    holds("the alert", await textOf(card), "fires", "app/postgres", "plimsoll diagnose");
    await narrowed(page, "an alert");
    await accessible(page);
    await card.getByRole("link", { name: "playbook" }).click();
    await page.locator("main h1", { hasText: /pool/i }).waitFor();
  });
  await check("the list of incidents", async () => {
    await visit(page, "#/incidents", "Incidents");
    const link = page.locator("table.incidents tbody a").first();
    id = await textOf(link);
    await accessible(page);
    await link.click();
    await page.locator("main h1", { hasText: id }).waitFor();
  });
  await check("an incident: timeline and report", async () => {
    await until("its timeline", async () => (await textOf(page.locator(".timeline"))).includes("PlimsollPoolExhausted"));
    await until("its report", async () => (await textOf(page.getByRole("region", { name: "Report" }))).includes("Root cause"));
    await accessible(page);
    await page.getByRole("button", { name: "Copy the report as Markdown" }).click();
    const copied = await until("the report in the clipboard", async () => {
      const text = await page.evaluate(() => navigator.clipboard.readText());
      return text.includes("Root Cause") && text;
    });
    holds("the report", copied, "Timeline", "Issue Summary");
    await narrowed(page, "an incident");
  });
  await check("a note to an incident", async () => {
    await page.locator("#note").fill(NOTE);
    await page.locator("#note-path").selectOption("network");
    await page.getByRole("button", { name: "Note it …" }).click();
    await confirms(page, { effect: [NOTE, "network"], command: [`plimsoll incident note ${id}`, "--path network"] });
    await does(page, "Write it down");
    await until("it on the page", async () => (await textOf(page.locator(".notes"))).includes(NOTE));
    holds("it on the page", await textOf(page.locator(".notes")), "looks into the network");
    const { code, text } = await hands("say", "incident", "show", id);
    same("plimsoll incident show", code, 0);
    holds("it", text, "the network</script>, or 'basket'?");
  });
  await check("an incident is closed", async () => {
    await page.getByRole("button", { name: "Close it …" }).click();
    await confirms(page, { effect: [id, "is closed"], command: [`plimsoll incident close ${id}`] });
    await does(page, "Close the incident", "it was a test");
    same("its standing", (await ask(`/v1/incidents/${id}`)).standing, "closed");
    await until("the page says it", async () => (await textOf(page.locator("main .lead").first())).startsWith("✓ closed"));
    must("it cannot be closed again", await page.getByRole("button", { name: "Close it …" }).isHidden());
  });
}
