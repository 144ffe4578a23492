// Dialogs: the token, and actions. Nothing is done without a person who has read
// what exactly will happen.

import { command, copyText, h, put, toast } from "./dom.js";
import { get, post, token } from "./net.js";

const RANK = { viewer: 0, operator: 1, admin: 2 };
const REASON_MAX = 200;
let me = null;
let changed = () => {};

/** Who hears of another token. */
export const onlogin = (tell) => {
  changed = tell;
};
export const whoami = () => me;

/** A modal dialog; it is gone from the page when it closes. */
export function dialog(title, content, cls = "") {
  const back = document.activeElement;
  const heading = h("h2", { id: "dialog-title" }, title);
  const box = h("dialog", { class: cls, "aria-labelledby": "dialog-title" }, heading, content);
  box.addEventListener("close", () => {
    box.remove();
    if (back?.isConnected) back.focus({ preventScroll: true });
  });
  box.addEventListener("click", (e) => e.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

export const closeButton = (box, text = "Close") => h("button", { type: "button", onclick: () => box().close() }, text);

/** What the token at hand is worth; null: nothing. */
export async function learn() {
  try {
    me = await get("/v1/whoami");
  } catch (fault) {
    me = null;
    if (fault.status === 404) {
      const status = await get("/v1/status").catch(() => null);
      me = status && { role: status.role, name: status.role, anonymous: !token() };
    }
  }
  changed(me);
  return me;
}

/** Asks for a token; resolves to true when it is worth `role`. */
export function login(role = "viewer", why = "") {
  if (document.querySelector("dialog.login")) return Promise.resolve(false);
  return new Promise((done) => {
    let good = false;
    const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true, minlength: "16", maxlength: "1024", "aria-describedby": "token-help" });
    const problem = h("p", { class: "problem", role: "alert" });
    const send = h("button", { type: "submit", class: "main" }, "Use this token");
    const forget = token() && h("button", { type: "button", onclick: async () => {
      token("");
      box.close();
      await learn();
      toast("The token was forgotten.");
    } }, "Forget the token");
    const form = h("form", { method: "dialog" },
      why && h("p", {}, why),
      h("label", { for: "token" }, "Token"), field,
      h("p", { id: "token-help", class: "dim" }, "It stays in this tab and is gone when the tab closes. Tokens are named in [api.tokens] of the settings: a viewer reads, an operator acts, an admin changes settings."),
      problem,
      h("div", { class: "buttons" }, send, forget, closeButton(() => box, "Cancel")));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const before = token();
      token(field.value.trim());
      send.disabled = true;
      try {
        const found = await get("/v1/whoami");
        if ((RANK[found.role] ?? -1) >= RANK[role]) {
          good = true;
          me = found;
          changed(me);
          box.close();
          return;
        }
        put(problem, `This token is worth “${found.role}”; “${role}” is needed.`);
      } catch (fault) {
        put(problem, fault.status === 401 ? "No such token is known." : fault.message);
      }
      token(before);
      send.disabled = false;
      field.select();
    });
    const box = dialog("Token", form, "login");
    box.addEventListener("close", () => done(good));
    field.focus();
  });
}

async function allowed(role) {
  if (!me) await learn();
  if ((RANK[me?.role] ?? -1) >= RANK[role]) return true;
  return login(role, role === "admin" ? "Changing settings needs an admin's token." : "Acting needs an operator's token.");
}

/**
 * Confirms and does one action.
 * {title, effect: [sentences], role, path, body, command, verb, danger, reason, said(answer)}
 */
export async function act(action) {
  if (!(await allowed(action.role || "operator"))) return false;
  return new Promise((done) => {
    let ok = false;
    const reason = h("input", { type: "text", id: "reason", maxlength: String(REASON_MAX), autocomplete: "off" });
    const outcome = h("p", { class: "outcome", role: "status" });
    const send = h("button", { type: "submit", class: action.danger ? "danger" : "main" }, action.verb);
    const cancel = closeButton(() => box, "Cancel");
    const form = h("form", { method: "dialog" },
      h("ul", { class: "effect" }, action.effect.filter(Boolean).map((line) => h("li", {}, line))),
      action.reason !== false && [h("label", { for: "reason" }, "Reason (kept in the log)"), reason],
      h("p", { class: "dim" }, "The same in a terminal:"), command(action.command),
      outcome,
      h("div", { class: "buttons" }, send, cancel));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      put(outcome, "Asking the pooler …").className = "outcome";
      const body = { ...action.body };
      if (action.reason !== false && reason.value) body.reason = reason.value;
      try {
        const answer = await post(action.path, body);
        ok = answer.done !== false;
        const text = answer.text || action.said?.(answer) || "Done.";
        put(outcome, `${ok ? "✓" : "✗"} ${text}`).className = ok ? "outcome good" : "outcome bad";
        if (ok) {
          send.hidden = true;
          put(cancel, "Close");
          cancel.focus();
          toast(text);
        } else send.disabled = false;
      } catch (fault) {
        const lines = fault.lines || [fault.message];
        const hint = fault.status === 403 ? "This token may not do that." : fault.help;
        put(outcome, `✗ ${lines.join("; ")}${hint ? ` — ${hint}` : ""}`).className = "outcome bad";
        send.disabled = false;
        if (fault.status === 401) {
          token("");
          learn();
        }
      }
    });
    const box = dialog(action.title, form, "act");
    box.addEventListener("close", () => done(ok));
    // The safe choice has the focus where much is at stake.
    (action.danger ? cancel : send).focus();
  });
}

const quoted = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;

/** Only plain names go into a console command; for others curl carries JSON. */
const plain = (text) => /^[A-Za-z0-9_.-]{1,63}$/.test(text);

export function curl(path, body) {
  const json = JSON.stringify(body).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `curl -X POST -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d ${quoted(json)} ${quoted(location.origin + path)}`;
}

let where = null;
/** Host, port and admin for psql, as the pooler says. */
async function psql(order) {
  if (!where) {
    const context = await get("/v1/playbook/context").catch(() => ({}));
    const [host, port] = Array.isArray(context.listen) ? context.listen : ["", 6432];
    const safe = (text, other) => (/^[\w./:-]{1,100}$/.test(text || "") ? text : other);
    where = `${host ? ` -h ${safe(host, "127.0.0.1")}` : ""} -p ${Number(port) || 6432} -U ${safe(context.admin, "postgres")}`;
  }
  return `psql${where} pgbouncer -c ${quoted(order)}`;
}

const whose = (lease) => `${lease.user}@${lease.database} from ${lease.address || "an unknown address"}${lease.application ? `, application ${lease.application}` : ""}`;
const id = (lease) => encodeURIComponent(lease.client);

export const cancelLease = (lease) => act({
  title: "Cancel the running statement?",
  effect: [`The statement of ${whose(lease)} is cancelled at the server.`, "The client gets an error for it (57014) and may go on; its transaction has failed."],
  path: `/v1/leases/${id(lease)}/cancel`, body: {}, verb: "Cancel the statement",
  command: curl(`/v1/leases/${id(lease)}/cancel`, {}),
});

export const reclaimLease = (lease) => act({
  title: "Take this connection back?",
  effect: [`The connection that ${whose(lease)} holds is taken back.`, "Its transaction is rolled back; nothing of it remains.", "The client is told so (FATAL 25P03) and disconnected; whoever waits is served next.", lease.exempt && `It would not be taken back by itself: ${lease.exempt}.`],
  path: `/v1/leases/${id(lease)}/reclaim`, body: {}, verb: "Take it back", danger: true,
  command: curl(`/v1/leases/${id(lease)}/reclaim`, {}),
});

export const killClient = async (lease) => act({
  title: "Disconnect this client?",
  effect: [`The client ${whose(lease)} is disconnected.`, "A transaction that it has open is rolled back.", "Nothing keeps it from connecting again."],
  path: `/v1/clients/${id(lease)}/kill`, body: {}, verb: "Disconnect it", danger: true,
  command: plain(lease.client) ? await psql(`KILL_CLIENT ${lease.client.startsWith("0x") ? "" : "0x"}${lease.client};`) : curl(`/v1/clients/${id(lease)}/kill`, {}),
});

async function holdBack(database, pause) {
  const word = pause ? "pause" : "resume";
  const which = database ? `database ${database}` : "all databases";
  return act({
    title: pause ? `Pause ${which}?` : `Resume ${which}?`,
    effect: pause
      ? [`Clients of ${which} get no connection until somebody resumes.`, "Those that hold one keep it until their transaction ends.", "New transactions wait, and fail when their deadline comes."]
      : [`Clients of ${which} get connections again, those that have waited longest first.`],
    path: `/v1/pools/${word}`, body: { database }, verb: pause ? "Pause" : "Resume", danger: pause,
    command: database && !/^[a-z_][a-z0-9_]*$/.test(database) ? curl(`/v1/pools/${word}`, { database }) : await psql(`${word.toUpperCase()}${database ? ` ${database}` : ""};`),
  });
}
export const pause = (database) => holdBack(database, true);
export const resume = (database) => holdBack(database, false);

export const rollback = (version, words) => act({
  title: `Go back to version ${version}?`,
  effect: [`The settings of version ${version}${words ? ` (${words})` : ""} shall serve again.`, "They are checked first. Nothing of the history is lost.", "If they are refused, nothing changes."],
  role: "admin", path: "/v1/settings/rollback", body: { version }, verb: "Roll back", danger: true,
  command: `plimsoll rollback ${version}`,
  said: (answer) => `Begun: version ${answer.version} shall serve in place of ${answer.from}.`,
});

export const takeBack = () => act({
  title: "Take the open change back?",
  effect: ["The change that is under way is taken back; the version before it serves again."],
  role: "admin", path: "/v1/settings/rollback", body: {}, verb: "Take it back", danger: true,
  command: "plimsoll rollback",
  said: (answer) => `Begun: version ${answer.version} serves again.`,
});

export const closeIncident = (incident) => act({
  title: `Close incident ${incident}?`,
  effect: [`Incident ${incident} is closed, whether or not its alerts still fire.`, "Its report can still be read, and notes can be added."],
  path: `/v1/incidents/${encodeURIComponent(incident)}/close`, body: {}, verb: "Close the incident",
  command: `plimsoll incident close ${incident}`, said: () => `Incident ${incident} is closed.`,
});

export const note = (incident, text, path) => act({
  title: `Note to incident ${incident}`,
  effect: [`“${text}”`, path && `From now on this is being looked into: ${path.replaceAll("_", " ")}.`],
  path: `/v1/incidents/${encodeURIComponent(incident)}/notes`, body: { text, path: path || null }, verb: "Write it down", reason: false,
  command: `plimsoll incident note ${incident} ${quoted(text)}${path ? ` --path ${path}` : ""}`, said: () => "Noted.",
});

/** Asks which application and version, then confirms. */
export function markRelease() {
  const field = (id, label) => [h("label", { for: id }, label), h("input", { type: "text", id, required: true, maxlength: "200", autocomplete: "off", spellcheck: "false" })];
  const [application, version] = [field("release-app", "Application, as its connections name it"), field("release-version", "Version")];
  const form = h("form", { method: "dialog" }, application, version, h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, "Go on …"), closeButton(() => box, "Cancel")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { application: application[1].value.trim(), version: version[1].value.trim() };
    if (!body.application || !body.version) return;
    box.close();
    act({
      title: "Mark a release",
      effect: [`From now on the charts show that ${body.application} ${body.version} was released.`, "The diagnosis takes it into account."],
      path: "/v1/releases", body, verb: "Mark it", reason: false,
      command: `plimsoll mark release ${quoted(body.application)} ${quoted(body.version)}`, said: () => "Marked.",
    });
  });
  const box = dialog("Mark a release", form);
}

export const testNotifier = (nameOf) => act({
  title: `Send a test message to ${nameOf}?`,
  effect: [`${nameOf} gets one message that is marked as a test.`],
  path: "/v1/notifiers/test", body: { name: nameOf }, verb: "Send it", reason: false,
  command: curl("/v1/notifiers/test", { name: nameOf }),
  said: (answer) => (Array.isArray(answer) ? answer.map((t) => `${t.name}: ${t.error || "taken"}`).join("; ") : "Sent."),
});

