// The dialogs that stand before every action: what will happen, the same as a
// command, and what came of it.

import { accessible, holds, must, textOf } from "./kit.mjs";

/** An action's dialog: `effect` and `command` hold these words. Gives the command. */
export async function confirms(page, { effect, command, look = false }) {
  const box = page.locator("dialog.act");
  await box.waitFor();
  holds("the effect", await textOf(box.locator(".effect")), ...effect);
  const text = await box.locator(".cmd code").innerText();
  holds("the command", text, ...command);
  must("the command can be copied", await box.getByRole("button", { name: /^Copy the command/ }).isVisible());
  if (look) await accessible(page);
  return text;
}

/** Confirms, and waits until it is done; gives what the page says of it. */
export async function does(page, verb, reason) {
  const box = page.locator("dialog.act");
  if (reason) await box.locator("#reason").fill(reason);
  await box.getByRole("button", { name: verb, exact: true }).click();
  const outcome = box.locator(".outcome.good, .outcome.bad");
  await outcome.waitFor();
  const said = await textOf(outcome);
  must(said, said.startsWith("✓"));
  await box.getByRole("button", { name: "Close", exact: true }).click();
  await box.waitFor({ state: "detached" });
  return said;
}

export async function refuses(page) {
  const box = page.locator("dialog.act");
  await box.getByRole("button", { name: "Cancel", exact: true }).click();
  await box.waitFor({ state: "detached" });
}

/** Types a token into the dialog that asks for one. */
export async function token(page, text) {
  const box = page.locator("dialog.login");
  await box.waitFor();
  await box.locator("#token").fill(text);
  await box.getByRole("button", { name: "Use this token" }).click();
}
