// What a person does from the page, each by its effect at the pooler.

import { TOKENS, accessible, ask, check, hands, holds, must, same, textOf, tolerate, until, visit } from "./kit.mjs";
import { confirms, does, refuses, token } from "./dialogs.mjs";

/** Clients that get a lease each, for what will be done to them. */
async function holders() {
  for (const name of ["to-cancel", "to-reclaim", "to-kill"]) {
    await hands("login", name, "wide", name);
    await hands("query", name, "begin");
  }
  await hands("send", "to-cancel", "select pg_sleep(600)");
  await hands("login", "to-wait", "wide", "to-wait");
}

/** The dialog of this client's lease. */
async function leaseOf(page, name) {
  await visit(page, `#/leases?filter=${name}`, "Leases");
  await page.getByRole("button", { name: `Act on the lease of ${name}`, exact: false }).click();
  const box = page.locator("dialog", { hasText: "Last statement" });
  await box.waitFor();
  const id = await until("the client's id", async () => /Client\s+((0x)?[0-9a-f]+)/.exec(await textOf(box))?.[1]);
  return { id, choose: (verb) => box.getByRole("button", { name: verb }).click() };
}

async function cancel(page) {
  await check("an action asks for a token, and says what is wrong with one", async () => {
    tolerate(/status of 401/);
    const { choose } = await leaseOf(page, "to-cancel");
    await choose("Cancel statement …");
    const box = page.locator("dialog.login");
    await box.waitFor();
    holds("the dialog", await textOf(box), "Acting needs an operator's token.");
    await accessible(page);
    await token(page, "a token of nobody at all");
    await until("the refusal", async () => (await textOf(box.locator(".problem"))) === "No such token is known.");
    await token(page, TOKENS.viewer);
    await until("its rank", async () => (await textOf(box.locator(".problem"))) === "This token is worth “viewer”; “operator” is needed.");
    await token(page, TOKENS.operator);
    await page.locator("dialog.act").waitFor();
    same("whose token", await textOf(page.locator("#who")), "operator");
  });
  await check("a statement is cancelled", async () => {
    await confirms(page, { effect: ["to-cancel", "57014"], command: ["curl -X POST", "/v1/leases/", "/cancel", "Bearer $TOKEN"], look: true });
    const said = await does(page, "Cancel the statement", "it <b>runs</b> too long");
    holds("what is said", said, "to-cancel", "was cancelled");
    same("the client is told", await hands("ready", "to-cancel"), "57014");
    same("and goes on", (await hands("query", "to-cancel", "rollback")).code, "");
    await hands("close", "to-cancel");
  });
}

async function reclaim(page) {
  await check("a connection is taken back", async () => {
    const { id, choose } = await leaseOf(page, "to-reclaim");
    await choose("Take back …");
    await confirms(page, { effect: ["to-reclaim", "rolled back", "25P03"], command: ["curl -X POST", `/v1/leases/${id}/reclaim`] });
    holds("what is said", await does(page, "Take it back"), "was taken back");
    same("the client is told", await hands("end", "to-reclaim"), "25P03");
  });
}

async function kill(page) {
  await check("a client is disconnected", async () => {
    const { id, choose } = await leaseOf(page, "to-kill");
    await choose("Disconnect …");
    await confirms(page, { effect: ["to-kill", "disconnected"], command: ["psql -h 127.0.0.1 -p ", "pgbouncer", `KILL_CLIENT 0x${id.replace(/^0x/, "")};`] });
    holds("what is said", await does(page, "Disconnect it"), "was closed");
    must("the client is told why", await hands("end", "to-kill"));
    await until("no lease of it", async () => (await ask("/v1/leases?filter=to-kill")).total === 0);
  });
}

/** Pause and resume, by the page and by the commands that it shows. */
async function pauses(page) {
  const asks = async (n) => {
    await hands("send", "to-wait", `select ${n}`);
    must("it waits", await hands("silent", "to-wait", "400"));
  };
  const served = async (n) => same("it is served", (await hands("answer", "to-wait")).value, String(n));
  const opens = (name) => page.getByRole("button", { name: `${name} its database …` }).click();
  await check("a database is paused", async () => {
    same("it is served", (await hands("query", "to-wait", "select 1")).value, "1");
    await visit(page, "#/pools/wide%2Fpostgres", "Pool wide/postgres");
    await opens("Pause");
    await confirms(page, { effect: ["database wide", "until somebody resumes"], command: ["psql -h 127.0.0.1 -p ", "pgbouncer -c 'PAUSE wide;'"] });
    holds("what is said", await does(page, "Pause", "maintenance"), "wide");
    await asks(2);
    await until("the page says so", async () => (await textOf(page.locator(".strip"))).includes("‖ paused"));
  });
  await check("the commands beside the actions do the same", async () => {
    await opens("Resume");
    const resume = await confirms(page, { effect: ["database wide", "again"], command: ["RESUME wide;"] });
    await refuses(page);
    await hands("shell", resume);
    await served(2);
    await opens("Pause");
    const pause = await confirms(page, { effect: [], command: ["PAUSE wide;"] });
    await refuses(page);
    await hands("shell", pause);
    await asks(3);
  });
  await check("a database is resumed", async () => {
    await opens("Resume");
    await confirms(page, { effect: ["database wide"], command: ["RESUME wide;"] });
    await does(page, "Resume");
    await served(3);
    await until("the page says so", async () => !(await textOf(page.locator(".strip"))).includes("paused"));
    await hands("close", "to-wait");
  });
}

async function tells(page) {
  await check("a release is marked", async () => {
    await visit(page, "#/overview", "Overview");
    await page.getByRole("button", { name: "Mark a release …" }).click();
    const box = page.locator("dialog");
    await box.locator("#release-app").fill("shop-<i>web</i>");
    await box.locator("#release-version").fill("2.4.1\u202e");
    await box.getByRole("button", { name: "Go on …" }).click();
    await confirms(page, { effect: ["shop-<i>web</i> 2.4.1\\u{202e}"], command: ["plimsoll mark release 'shop-<i>web</i>' '2.4.1"] });
    await does(page, "Mark it");
    const found = (await ask("/v1/markers")).filter((m) => m.kind === "release");
    same("releases", found.length, 1);
    holds("the marker", JSON.stringify(found[0]), "shop-<i>web</i>", "2.4.1");
    await until("what changed", async () => (await textOf(page.locator(".changes"))).includes("shop-<i>web</i>"));
  });
  await check("a notifier is tested", async () => {
    await visit(page, "#/alerts", "Alerts");
    await page.locator(".notifiers tr", { hasText: "note-pad" }).getByRole("button", { name: "Test …" }).click();
    await confirms(page, { effect: ["note-pad gets one message"], command: ["curl -X POST", "/v1/notifiers/test", "note-pad"] });
    holds("what is said", await does(page, "Send it"), "note-pad");
    const told = await until("the message", () => hands("notified"));
    holds("the message", told.toLowerCase(), "test");
  });
}

export async function actions(page) {
  await holders();
  await cancel(page);
  await reclaim(page);
  await kill(page);
  await pauses(page);
  await tells(page);
  await check("what was done stands in the log, with the reason", async () => {
    const log = await hands("log");
    holds("the log", log, "it <b>runs</b> too long", "maintenance");
  });
}
