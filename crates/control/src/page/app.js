// The shell: which view is shown, at which moment, and whether the pooler is heard.

import { attr, clean, copyText, h, put, remembered, toast } from "./dom.js";
import { closeButton, dialog, learn, login, onlogin } from "./actions.js";
import { RANGES, change, current, go, href, keep } from "./route.js";
import { Stream, get, heard, heardMs, serverNow, token } from "./net.js";
import { ago, clock, count, moment } from "./units.js";
import { step } from "./table.js";
import { causeTitle, stateOf } from "./verdict.js";
import { panel } from "./demo.js";
import * as overview from "./overview.js";
import * as pools from "./pools.js";
import * as leases from "./leases.js";
import * as budget from "./budget.js";
import * as settings from "./settings.js";
import * as incidents from "./incidents.js";
import * as alerts from "./alerts.js";
import * as playbook from "./playbook.js";

const $ = (id) => document.getElementById(id);
const MODULES = { overview, pools, leases, budget, settings, incidents, alerts, playbook };
const KEYS = { o: "overview", p: "pools", l: "leases", b: "budget", s: "settings", i: "incidents", a: "alerts", k: "playbook" };
/** A hidden tab gives its stream back to others after this. */
const HIDDEN_MS = 60_000;
/** Without news for so long the screen says that it may be old. */
const STALE_MS = 3_000;
/** What is read out changes at most so often. */
const ANNOUNCE_MS = 15_000;

let route = current();
let shown = null; // {view, arg, handle, problem}
let newest = null; // the newest second
let past = null; // the moment looked at: {at, live}
let link = "asking";
let linkText = "";
let held = false;
let stage = null; // the buttons of a demonstration
let keysOn = remembered("keys") !== "off";

const canRender = () => !document.hidden && !held;

// ---- what the views are given ----

function problem(fault) {
  if (!shown) return;
  const box = shown.problem;
  if (!fault) {
    box.hidden = true;
    return;
  }
  // That nobody answers stands in the bar; old figures may stay in their places.
  if (fault.status === 0 && newest) return;
  box.hidden = false;
  const lines = fault.lines || [String(fault.message || fault)];
  put(box, `✕ ${lines.join("; ")}${fault.help ? ` — ${fault.help}` : ""}${fault.status === 503 ? " It is asked again by itself." : ""}`);
  if (fault.status === 401) askToken(fault);
}

/** Runs `work` now and again; never twice at a time, never in a hidden tab. */
function every(period, work) {
  let timer = 0;
  let control = null;
  let stopped = false;
  let ran = false;
  async function run() {
    clearTimeout(timer);
    if (stopped) return;
    if (ran && !canRender()) return void (timer = setTimeout(run, 500));
    const mine = (control = new AbortController());
    try {
      await work(mine.signal);
      if (!mine.signal.aborted && !stopped) problem(null);
      ran = true;
    } catch (fault) {
      if (mine.signal.aborted || stopped) return;
      if (!fault.status && !fault.lines) console.error(fault);
      problem(fault);
      // Another try with a token that is not known would only look like guessing.
      if (fault.status === 401) return;
    }
    if (mine.signal.aborted || stopped) return;
    const pause = period();
    // The past does not change.
    if (pause > 0 && !(ran && past && route.params.at)) timer = setTimeout(run, pause);
  }
  const now = () => {
    control?.abort();
    ran = false;
    run();
  };
  now();
  return { now, stop() {
    stopped = true;
    clearTimeout(timer);
    control?.abort();
  } };
}

const ctx = { route: () => route, now: serverNow, every };

// ---- views ----

function mount() {
  const wanted = route;
  const module = MODULES[wanted.view];
  const first = !shown;
  shown?.handle.stop();
  const box = h("p", { class: "note bad", role: "alert", hidden: true });
  shown = { view: wanted.view, arg: wanted.arg, problem: box, handle: null };
  shown.handle = module.view(ctx);
  $("main").replaceChildren(box, shown.handle.el);
  render();
  if (first) return;
  scrollTo(0, 0);
  $("main").focus({ preventScroll: true });
}

function render() {
  const live = route.params.at ? past?.live : newest;
  if (live && shown?.handle && canRender()) {
    shown.handle.update(live);
    document.body.dataset.verdict = live.verdict?.state || "unknown";
    if (!performance.getEntriesByName("verdict").length) performance.mark("verdict");
  }
}

async function lookBack() {
  const at = Number(route.params.at);
  if (!at) {
    past = null;
  } else if (past?.at !== at) {
    past = { at, live: null };
    try {
      const live = await get(`/v1/live?at_ms=${at}`);
      if (past?.at === at) past.live = live;
    } catch (fault) {
      problem(fault);
    }
  }
  banner();
  render();
}

function navigate() {
  route = current();
  for (const a of $("nav").children) {
    attr(a, "aria-current", a.dataset.view === route.view ? "page" : null);
    a.href = keep(a.dataset.view);
  }
  $("nav").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
  document.querySelector(".brand").href = keep("overview");
  for (const b of $("ranges").children) attr(b, "aria-pressed", String(b.dataset.range === (route.params.range || "15m")));
  if (!shown || shown.view !== route.view || shown.arg !== route.arg) mount();
  else shown.handle.route(route);
  lookBack();
  title();
}

// ---- the bar ----

const LINKS = { asking: "asking", live: "live", polling: "live, by asking", lost: "connection lost", refused: "token needed" };

function bar() {
  if (document.hidden) return;
  const silent = heard.here ? heardMs() : 0;
  const stale = link === "lost" || (heard.here > 0 && silent > STALE_MS && link !== "refused");
  const state = link === "live" && stale ? "quiet" : link;
  attr($("link"), "data-state", state);
  attr(document.body, "data-stale", stale && link === "lost" ? "yes" : null);
  const word = stale && heard.here ? `${link === "lost" ? "connection lost" : "quiet"}, last heard ${ago(silent)} ago` : LINKS[link] || link;
  put($("link-word"), word);
  attr($("link"), "title", linkText || null);
  put($("clock"), newest ? clock(link === "lost" ? heard.at_ms : newest.at_ms) : "––:––:––");
}

function banner() {
  const box = $("banner");
  const at = Number(route.params.at);
  const sign = held ? `held ${at}` : String(at || "");
  box.hidden = !sign;
  if (box.plSign === sign) return;
  box.plSign = sign;
  if (!sign) return box.replaceChildren();
  const jump = (ms, words) => h("button", { type: "button", class: "small", onclick: () => change({ at: String(at + ms) }, true) }, words);
  const parts = [
    held ? h("p", {}, h("b", {}, "Held still. "), "The screen does not change until you let it go. ") : null,
    at ? h("p", {}, h("b", {}, "This is the past: "), h("span", { class: "num" }, `${moment(at)} UTC`), ". ") : null,
    ...(at ? [jump(-60_000, "1 min earlier"), jump(-5_000, "5 s earlier"), jump(5_000, "5 s later"), jump(60_000, "1 min later"), h("button", { type: "button", class: "main small", onclick: backToNow }, "Back to now (n)")] : []),
    held ? h("button", { type: "button", class: "main small", onclick: hold }, "Go on (z)") : null,
  ];
  box.replaceChildren(...parts.filter(Boolean));
}

const backToNow = () => change({ at: "" });

function hold() {
  held = !held;
  attr($("hold"), "aria-pressed", String(held));
  banner();
  render();
}

function alarms(live) {
  const box = $("firing");
  const incident = live.incident;
  const alerts = live.alerts || [];
  const sign = JSON.stringify([incident?.id, live.alerts_firing, live.verdict?.state, alerts.slice(0, 3).map((a) => a.name), live.not_ready, route.params.range]);
  if (box.plSign === sign) return;
  box.plSign = sign;
  const parts = [];
  if (live.not_ready) parts.push(h("span", { class: "pill p-critical", title: clean(live.not_ready, 300) }, `✕ not ready: ${clean(live.not_ready, 60)}`));
  if (incident) parts.push(h("a", { href: href("incidents", incident.id), class: "pill p-critical", title: clean(incident.title, 300) }, `■ incident ${incident.id}`));
  if (live.alerts_firing) {
    const names = [...new Set(alerts.map((a) => String(a.name).replace(/^Plimsoll/, "")))];
    parts.push(h("a", { href: href("alerts"), class: "pill p-error", title: clean(names.join(", "), 300) }, `▲ ${count(live.alerts_firing)} ${live.alerts_firing === 1 ? "alert" : "alerts"}: ${clean(names[0] || "", 40)}${names.length > 1 ? " …" : ""}`));
  } else if (!incident) parts.push(h("span", { class: "dim" }, live.verdict?.state === "hurt" ? "no alert yet" : "no alert, no incident"));
  box.replaceChildren(...parts);
}

function title() {
  const live = newest;
  const waiting = live?.totals?.waiting || 0;
  const text = `${route.params.at ? "past · " : ""}${waiting ? `${waiting} waiting · ` : ""}${route.view}${route.arg ? ` ${clean(route.arg, 40)}` : ""} · Plimsoll ${clean(live?.instance || "", 60)}`;
  if (document.title !== text) document.title = text;
}

// ---- what is read out: the verdict, when it changes and stays ----

let spoken = "";
let spokenAt = -Infinity;
let pending = { sign: "", since: 0 };
function announce(live) {
  const v = live.verdict || {};
  const cause = v.findings?.[0]?.cause || "";
  const sign = `${v.state} ${cause}`;
  const now = performance.now();
  if (sign !== pending.sign) pending = { sign, since: now };
  if (sign === spoken || now - pending.since < 3000 || now - spokenAt < ANNOUNCE_MS) return;
  spoken = sign;
  spokenAt = now;
  put($("announce"), `${stateOf(v)[1]}. ${v.summary || ""}${cause ? ` Cause: ${causeTitle(cause)}.` : ""}`);
}

// ---- the stream ----

function onlive(live) {
  newest = live;
  if (document.hidden) return;
  put($("where"), `${live.instance || ""}${live.fleet ? ` · fleet ${live.fleet}` : ""} · ${live.version || ""} · up ${ago((live.uptime_s || 0) * 1000)}`);
  if (live.demo && !stage) $("main").before((stage = panel()));
  alarms(live);
  announce(live);
  title();
  bar();
  if (!route.params.at) render();
}

function onstate(state, fault, pause) {
  const was = link;
  link = state;
  linkText = fault ? `${fault.message}${pause ? `; the next try comes in ${ago(Math.round(pause))}` : ""}` : "";
  if (state === "lost" && was !== "lost") put($("announce"), "The connection to the pooler is lost. What is shown is old.");
  if (was === "lost" && state === "live") {
    put($("announce"), "The pooler is heard again.");
    shown?.handle.route(route);
  }
  if (state === "lost" && !newest && shown) problem(fault);
  if (state === "live" && was !== "live") problem(null);
  if (state === "refused") askToken(fault);
  bar();
}

const stream = new Stream(onlive, onstate);
let hiddenTimer = 0;
let parked = false;

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => {
      stream.stop();
      parked = true;
    }, HIDDEN_MS);
    return;
  }
  if (parked) stream.start();
  parked = false;
  if (newest) onlive(newest);
});

let declined = false;
async function askToken(fault) {
  if (declined || document.querySelector("dialog.login")) return;
  const why = token() ? "The token is no longer accepted." : "This pooler shows nothing without a token.";
  if (await login("viewer", fault?.status === 403 ? fault.message : why)) {
    anew();
  } else declined = true;
}

/** With another token everything is asked again. */
function anew() {
  declined = false;
  stream.start();
  mount();
}

// ---- keys ----

let leading = 0;
function help() {
  const rows = [["g then o p l b s i a k", "go to overview, pools, leases, budget, settings, incidents, alerts, playbook"], ["/", "to the filter"], ["j k", "next row, row before"], ["[ ]", "shorter, longer range"], ["n", "back to now"], ["z", "hold the screen still"], ["c", "copy a link to this view and moment"], ["t", "light or dark"], ["x", "token"], ["← → Page keys", "on a chart: read values; Enter looks at that moment"], ["Esc", "closes, clears"], ["?", "this help"]];
  const box = dialog("Keys and help", h("div", {},
    h("dl", { class: "keys" }, rows.map(([k, what]) => h("div", {}, h("dt", {}, k.split(" ").map((one) => (one === "then" ? " then " : h("kbd", {}, one)))), h("dd", {}, what)))),
    h("p", {}, h("label", {}, h("input", { type: "checkbox", checked: keysOn, onchange: (e) => {
      keysOn = e.target.checked;
      remembered("keys", keysOn ? null : "off");
    } }), " Keys of one letter are on")),
    h("p", { class: "dim" }, "All times are the pooler's, in UTC. Ages do not depend on this machine's clock. The same in a terminal: plimsoll top."),
    h("div", { class: "buttons" }, closeButton(() => box))), "wide");
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remembered("theme", root.dataset.theme);
  toast(dark ? "Light" : "Dark");
}

function range(by) {
  const names = Object.keys(RANGES);
  const at = names.indexOf(route.params.range || "15m") + by;
  if (names[at]) change({ range: names[at] });
}

function permalink() {
  const at = route.params.at || (newest ? String(newest.at_ms) : "");
  copyText(location.origin + location.pathname + href(route.view, route.arg, { ...route.params, at }), "A link to this view and moment was copied.");
}

const SINGLE = {
  "?": help, t: theme, z: hold, c: permalink, x: () => $("who").click(), n: () => route.params.at && backToNow(),
  "[": () => range(-1), "]": () => range(1), "/": () => $("filter")?.focus(),
  j: () => rows(1), k: () => rows(-1),
};

function rows(by) {
  const main = $("main");
  const body = document.activeElement?.closest?.("tbody") || main.querySelector("tbody");
  if (body) step(body, by);
}

addEventListener("keydown", (event) => {
  const field = event.target.closest?.("input,textarea,select");
  if (event.key === "Escape" && field?.id === "filter") {
    field.value = "";
    field.blur();
    return change({ filter: "", from: "" }, true);
  }
  if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if ((field && field.type !== "checkbox" && field.type !== "radio") || document.querySelector("dialog[open]")) return;
  const now = performance.now();
  if (leading && now - leading < 1500 && KEYS[event.key]) go(keep(KEYS[event.key]));
  else if (event.key !== "g" && SINGLE[event.key]) SINGLE[event.key]();
  else {
    leading = event.key === "g" ? now : 0;
    return;
  }
  leading = 0;
  event.preventDefault();
});

// ---- begin ----

for (const name of Object.keys(RANGES)) {
  $("ranges").append(h("button", { type: "button", "data-range": name, "aria-pressed": "false", onclick: () => change({ range: name }) }, name));
}
$("help").addEventListener("click", help);
$("theme").addEventListener("click", theme);
$("hold").addEventListener("click", hold);
$("permalink").addEventListener("click", permalink);
$("who").addEventListener("click", () => login("viewer").then((good) => good && anew()));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
onlogin((me) => {
  put($("who"), token() && me ? clean(me.role, 20) : "No token");
  attr($("who"), "title", me ? clean(`Acting as ${me.name || me.role} (x)`, 100) : "Whose token is used (x)");
});
addEventListener("hashchange", navigate);
setInterval(() => !document.hidden && bar(), 1000);
stream.start();
navigate();
if (token()) learn();
