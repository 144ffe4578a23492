// Settings: history, difference, one version, drift, and the way back.

import { TOKENS, accessible, ask, check, hands, holds, narrowed, same, textOf, until, visit } from "./kit.mjs";
import { confirms, does, token } from "./dialogs.mjs";

const AWAY = ["#/budget", "Budget"];

/** The view asks again when it is opened. */
async function again(page) {
  await visit(page, ...AWAY);
  await visit(page, "#/settings", "Settings");
  await page.locator("table.history tbody tr").first().waitFor();
}

/** A change that is watched for ten seconds, from before the rest of the story. */
export const changed = () => check("settings are changed", () => hands("apply", "pool_size = 110", "pool_size = 111"));

export async function settings(page) {
  let before = 0;
  await check("settings: what serves, and the history", async () => {
    await until("it has proved itself", async () => {
      const status = await ask("/v1/settings");
      before = status.version - 1;
      return !status.open;
    });
    await again(page);
    const status = page.getByRole("region", { name: "What serves" });
    holds("what serves", await textOf(status), `Version ${before + 1} serves`, "plimsoll.toml", "kept by Plimsoll");
    same("versions", await page.locator("table.history tbody tr").count(), 2);
    await accessible(page);
  });
  await check("settings: the other instances of the fleet", async () => {
    await until("the other one is heard", async () => (await ask("/v1/fleet")).peers.some((p) => p.state === "ok"));
    await again(page);
    const box = page.locator("#fleet");
    await box.waitFor();
    await until("both are shown", async () => (await box.locator("tbody tr").count()) === 2);
    const text = await textOf(box);
    holds("the fleet", text, "1 of 2 other instances are heard", "found by a list", "≠ 2 different settings serve");
    const rows = box.locator("tbody tr");
    // Who needs a look stands first.
    holds("one that is not there", await textOf(rows.nth(0)), "(never heard)", "✕ silent");
    holds("one that is", await textOf(rows.nth(1)), "✓ ok", "✓ yes", "≠ others");
    await narrowed(page, "the fleet");
    await accessible(page);
  });
  await check("settings: the difference between two versions", async () => {
    await page.getByRole("button", { name: `Changes of version ${before + 1}` }).click();
    const box = page.locator("#difference");
    await box.waitFor();
    const text = await textOf(box);
    holds("the difference", text, `From version ${before} to ${before + 1}`, "removed: pool_size = 110", "added: pool_size = 111");
    await narrowed(page, "a difference");
    holds("the link", page.url(), `from=${before}`, `to=${before + 1}`);
    await accessible(page);
  });
  await check("settings: a version is gone back to, by an admin", async () => {
    await page.locator("#difference").getByRole("button", { name: `Roll back to ${before} …` }).click();
    const box = page.locator("dialog.login");
    await box.waitFor();
    holds("the dialog", await textOf(box), "Changing settings needs an admin's token.");
    await token(page, TOKENS.admin);
    await confirms(page, { effect: [`version ${before}`, "shall serve again", "Nothing of the history is lost"], command: [`plimsoll rollback ${before}`], look: true });
    holds("what is said", await does(page, "Roll back", "too many"), `in place of ${before + 1}`);
    const now = await until("another version", async () => {
      const status = await ask("/v1/settings");
      return status.version > before + 1 && status.version;
    });
    const { code, text } = await hands("say", "history", String(now));
    same("plimsoll history", code, 0);
    holds("that version", text, "pool_size = 110");
    await until("the file says it", async () => (await hands("file")).includes("pool_size = 110"));
    await again(page);
    await until("the page says it", async () => (await textOf(page.locator("main"))).includes(`Version ${now} serves`));
    holds("the history", await textOf(page.locator("table.history")), "too many");
  });
  await check("settings: drift", async () => {
    await hands("edit", "pool_size = 110", "pool_size = 112");
    await until("the pooler sees it", async () => (await ask("/v1/settings")).drift);
    await again(page);
    const note = page.getByRole("group", { name: "Drift" });
    await note.waitFor();
    holds("the note", await textOf(note), "≠ Drift:", "the settings file says what does not serve", "plimsoll plan");
    await accessible(page);
    await hands("edit", "pool_size = 112", "pool_size = 110");
    await until("it is over", async () => !(await ask("/v1/settings")).drift);
    await again(page);
    await note.waitFor({ state: "detached" });
  });
}
