// The one screen: five questions, answered without scrolling at 1280 × 800.

import { markRelease } from "./actions.js";
import { attr, clean, h, put } from "./dom.js";
import { Chart, timeAxis, together } from "./chart.js";
import { change, keep, spanOf } from "./route.js";
import { get, query } from "./net.js";
import { Table, linkCell, meter, nameCell } from "./table.js";
import { NONE, count, rate, span, spanS } from "./units.js";
import { Changes, VerdictPanel } from "./verdict.js";

export const poolName = (p) => (p ? `${p.database}/${p.user}` : "");

/** Word and sign of where a pool stands. */
export const STANDING = {
  full: "■ full", waiting: "▲ waiting", filling: "◢ filling", leaking: "◍ leaking", paused: "‖ paused", well: "✓ has room",
};

export function fullIn(p) {
  if (p.held_back) return p.held_back;
  if (p.size && p.used >= p.size) return "full now";
  return p.full_in_s == null ? NONE : `in ${spanS(p.full_in_s)}`;
}

export const connections = (onpin, small) => new Chart({
  title: "Connections", level: small ? "h3" : "h2", whole: true, onpin, small, axis: count,
  series: [
    { key: "waiting", label: "waiting", kind: "area", say: count },
    { key: "used", label: "used", kind: "area", say: count },
    { key: "size", label: "limit", kind: "step", say: count },
  ],
});

export const times = (onpin, small) => new Chart({
  title: "Waiting against service", level: small ? "h3" : "h2", log: true, onpin, small, axis: timeAxis,
  series: [
    { key: "wait_us", label: "waiting", kind: "line", say: span },
    { key: "service_us", label: "service", kind: "line", say: span },
  ],
});

/** The median of the first third of what was measured: what it is compared with. */
export function usual(values) {
  const known = (values || []).filter((v) => typeof v === "number");
  const early = known.slice(0, Math.ceil(known.length / 3));
  return early.sort((a, b) => a - b)[Math.floor(early.length / 2)];
}

/** Where a request's time goes, by the figures alone. `before`: the usual service time. */
export function whereTimeGoes(line, before) {
  if (line?.silent && line.silent * 2 >= line.used) return `The clients: ${count(line.silent)} of ${count(line.used)} connections are held in silence.`;
  const [wait, service, hold] = [line?.wait_us || 0, line?.service_us || 0, line?.hold_us || 0];
  if (line?.wait_us == null && line?.service_us == null) return "Nobody asks for a connection.";
  if (before && service > 3 * before && service > 2000) return `The server: its work takes ${span(service)}, ${count(service / before)} times as long as before.`;
  if (wait > 2 * service && wait > 1000) {
    if (hold > 10 * service && hold > 1e6) return `The clients: they keep a connection for ${span(hold)}, of which the server works ${span(service)}.`;
    return `The pool: waiting takes ${service > 0 ? `${count(Math.max(2, wait / service))} times` : "far"} longer than the server's work.`;
  }
  if (service > 2 * wait && service > 20_000) return `The server: its work takes ${span(service)}, waiting ${span(wait)}.`;
  return `Neither: ${span(wait)} of waiting, ${span(service)} at the server.`;
}

function tile(label, title) {
  const value = h("dd", { class: "num" }, NONE);
  const was = h("span", { class: "num" });
  const el = h("div", { class: "tile", title }, h("dt", {}, `${label} `, was), value);
  return { el, set: (text, alarm, before) => {
    put(value, text);
    put(was, before ? `· was ${before}` : "");
    el.classList.toggle("alarm", Boolean(alarm));
  } };
}

/** What it was before, where that is far from what it is. */
const far = (now, before, say) => (now > 0 && before > 0 && (now > 1.5 * before || before > 1.5 * now) ? say(before) : "");

const POOLS = [
  { id: "pool", label: "Pool", head: true, fill: (td, p) => linkCell(td, keep("pools", poolName(p)), poolName(p)) },
  { id: "used", label: "Used / limit", fill: (td, p) => meter(td, p.used, p.size) },
  { id: "n", label: "Waits", cls: "r", text: (p) => count(p.waiting), hint: "Clients that wait" },
  { id: "t", label: "Longest", cls: "r", text: (p) => (p.waiting ? span(p.oldest_wait_us) : NONE), hint: "The longest current wait" },
  { id: "full", label: "Full", cls: "r", text: fullIn, hint: "When it will be full at this pace" },
];

const APPLICATIONS = [
  { id: "app", label: "Application", head: true, fill: (td, a) => nameCell(td, a.name, "(no name)") },
  { id: "release", label: "Release", fill: (td, a) => nameCell(td, a.release) },
  { id: "n", label: "Holds", cls: "r", text: (a) => count(a.used) },
  { id: "n", label: "Waits", cls: "r", text: (a) => count(a.waiting) },
  { id: "n", label: "Silent", cls: "r", text: (a) => count(a.silent), hint: "Holds one in a transaction and says nothing" },
  { id: "t", label: "Oldest", cls: "r", text: (a) => (a.oldest_hold_us ? span(a.oldest_hold_us) : NONE) },
];

const LEASES = [
  { id: "app", label: "Oldest leases", head: true, fill: (td, l) => linkCell(td, keep("leases", "", { filter: l.client, at: "" }), ownerOf(l)) },
  { id: "route", label: "Route", fill: (td, l) => nameCell(td, l.route) },
  { id: "t", label: "Held", cls: "r", text: (l) => span(l.held_us) },
  { id: "t", label: "Silent", cls: "r", text: (l) => (l.silent_us == null ? NONE : span(l.silent_us)), hint: "Silent inside a transaction" },
  { id: "stmt", label: "Last statement", fill: (td, l) => {
    let code = td.firstElementChild;
    if (!code) td.append((code = h("code")));
    put(code, l.statement || l.state);
    attr(td, "title", clean(`${l.suspicion ? `⚑ suspected: ${l.suspicion}, ${l.sure} % sure. ` : ""}${l.statement}`, 400));
  } },
];

/** Whose it is, with the release once: many a name already ends with it. */
function ownerOf(l) {
  const name = l.release && l.application?.endsWith(`/${l.release}`) ? l.application.slice(0, -l.release.length - 1) : l.application;
  return `${l.suspicion ? "⚑ " : ""}${name || l.user}${l.release ? ` ${l.release}` : ""}`;
}

/** More rows where the window is taller than the smallest one that is promised. */
const spare = () => Math.max(0, Math.min(20, Math.floor((innerHeight - 800) / 22)));

export function view(ctx) {
  const verdict = new VerdictPanel();
  const tiles = {
    waiting: tile("Waiting", "Clients that wait for a connection"),
    oldest: tile("Longest wait", "The longest current wait"),
    refused: tile("Refused", "Requests refused, per second"),
    used: tile("Connections", "Lent, and idle"),
    clients: tile("Clients", "Connected, and the most that may connect"),
    transactions: tile("Transactions", "Per second"),
    wait: tile("Mean wait", "Of those who got a connection"),
    service: tile("Service", "Mean time from a query to its answer"),
  };
  const strip = h("dl", { class: "strip", "aria-label": "Is anyone waiting?" }, Object.values(tiles).map((t) => t.el));
  const onpin = (ms) => change({ at: String(ms) });
  const charts = together([connections(onpin, true), times(onpin, true)]);
  const focus = h("select", { id: "focus", "aria-label": "Which pool the charts show" });
  focus.addEventListener("change", () => change({ pool: focus.value }));
  const judged = h("p", { class: "judged" });
  const pools = new Table({ caption: "Pools, those in trouble first", quiet: true, columns: POOLS, key: poolName, cls: "pools-short" });
  const applications = new Table({ caption: "Applications that hold or wait for the most", quiet: true, columns: APPLICATIONS, key: (a) => `${a.database}/${a.user}/${a.name}/${a.release}`, cls: "apps-short" });
  const leases = new Table({ caption: "Leases, the oldest first", quiet: true, columns: LEASES, key: (l) => l.client, cls: "leases-short" });
  const pastNote = h("p", { class: "dim pad", hidden: true }, "Leases of the past are not kept.");
  const noPools = h("p", { class: "dim pad", hidden: true }, "No pool yet: one appears when the first client comes.");
  const changes = new Changes(9);
  const poolsMore = h("a", { class: "minor" }, "");
  const leasesMore = h("a", { class: "minor" }, "");
  const el = h("div", { class: "overview" },
    h("h1", { class: "sr" }, "Overview"),
    verdict.el, strip,
    h("div", { class: "charts" },
      h("section", { class: "panel", "aria-label": "Used and limit" }, h("h2", { class: "sr" }, "How it goes"), h("div", { class: "focus" }, focus), charts[0].el),
      h("section", { class: "panel", "aria-label": "Pool, client or server" }, judged, charts[1].el)),
    h("div", { class: "trio" },
      h("section", { class: "panel" }, h("h2", {}, "Which pool ", poolsMore), pools.el, noPools),
      h("section", { class: "panel" }, h("h2", {}, "Who holds connections ", leasesMore), applications.el, leases.el, pastNote),
      h("section", { class: "panel" }, h("h2", {}, "What changed", h("button", { type: "button", class: "small mark-release", onclick: markRelease }, "Mark a release …")), changes.el)));

  let route = ctx.route();
  let live = null;
  let picked = "";
  let before;
  let usually = {};

  /** The pool of the charts: the one asked for, else the one in trouble, else all. */
  function pick() {
    if (route.params.pool != null && route.params.pool !== "") return route.params.pool === "*" ? "" : route.params.pool;
    const lines = live?.pools || [];
    const hurt = live?.verdict?.findings?.[0]?.subject;
    const blamed = hurt?.database && lines.find((p) => p.database === hurt.database && (!hurt.user || p.user === hurt.user));
    if (blamed) return poolName(blamed);
    // It stays with a pool until that one is well: charts that jump are no help.
    const last = lines.find((p) => poolName(p) === picked);
    if (last && last.standing !== "well") return picked;
    const first = lines[0];
    return first && first.standing !== "well" ? poolName(first) : "";
  }

  function offer() {
    const names = (live?.pools || []).slice(0, 50).map(poolName);
    if (picked && !names.includes(picked)) names.unshift(picked);
    const sign = JSON.stringify(names);
    if (focus.plSign !== sign) {
      focus.plSign = sign;
      focus.replaceChildren(h("option", { value: "*" }, "all pools"), ...names.map((n) => h("option", { value: n }, n)));
    }
    focus.value = picked || "*";
  }

  async function curves(signal) {
    const looked = spanOf(route, ctx.now());
    if (!looked.until) return;
    const asked = picked;
    const data = await get(query("/v1/chart", { pool: asked, from_ms: Math.floor(looked.from), until_ms: Math.floor(looked.until), points: 300 }), signal);
    if (asked !== picked) return;
    before = usual(data.service_us);
    for (const chart of charts) chart.show(data, looked.from, looked.until, looked.pin);
  }
  /** The usual of all pools together, for the tiles. */
  async function compare(signal) {
    const looked = spanOf(route, ctx.now());
    if (!looked.until) return;
    const data = await get(query("/v1/chart", { from_ms: Math.floor(looked.from), until_ms: Math.floor(looked.until), points: 90 }), signal);
    usually = { transactions: usual(data.transactions_per_s), wait: usual(data.wait_us), service: usual(data.service_us) };
  }
  const comparing = ctx.every(() => (usually.service == null ? 2000 : 10_000), compare);
  const fetcher = ctx.every(() => Math.max(1000, (spanOf(route, 1e12).until - spanOf(route, 1e12).from) / 300), curves);

  function update(next) {
    live = next;
    const t = live.totals || {};
    verdict.show(live.verdict || {}, live.at_ms, live.alerts);
    tiles.waiting.set(count(t.waiting), t.waiting > 0);
    tiles.oldest.set(t.waiting ? span(t.oldest_wait_us) : NONE, t.oldest_wait_us > 1e6);
    tiles.refused.set(`${rate(t.refused_per_s)}/s`, t.refused_per_s > 0);
    tiles.used.set(`${count(t.used)} · ${count(t.idle)} idle`);
    tiles.clients.set(t.clients_limit ? `${count(t.clients)} of ${count(t.clients_limit)}` : count(t.clients), t.clients_limit && t.clients >= t.clients_limit);
    tiles.transactions.set(`${rate(t.transactions_per_s)}/s`, false, far(t.transactions_per_s, usually.transactions, (v) => `${rate(v)}/s`));
    tiles.wait.set(span(t.wait_us ?? undefined), false, far(t.wait_us, usually.wait, span));
    tiles.service.set(span(t.service_us ?? undefined), false, far(t.service_us, usually.service, span));
    const extra = spare();
    pools.show((live.pools || []).slice(0, 11 + extra));
    noPools.hidden = Boolean(live.pools?.length);
    applications.show((live.applications || []).slice(0, 4));
    leases.show((live.leases || []).slice(0, 5 + extra));
    if (live.past) leases.el.hidden = true;
    pastNote.hidden = !live.past;
    changes.show(live.markers, live.at_ms, 6 + Math.floor(extra / 2));
    put(poolsMore, `all ${count(live.pools_total)}`);
    attr(poolsMore, "href", keep("pools"));
    leasesMore.hidden = Boolean(live.past);
    put(leasesMore, `all ${count(live.leases_total)}`);
    attr(leasesMore, "href", keep("leases"));
    const wanted = pick();
    if (wanted !== picked || !charts[0].data) {
      if (wanted !== picked) before = undefined;
      picked = wanted;
      fetcher.now();
    }
    offer();
    const line = live.pools?.find((p) => poolName(p) === picked);
    put(judged, `${picked ? clean(picked, 40) : "All pools"} · ${whereTimeGoes(line || t, before)}`);
  }

  return {
    el,
    update,
    route(next) {
      route = next;
      if (live) update(live);
      fetcher.now();
      comparing.now();
    },
    stop() {
      fetcher.stop();
      comparing.stop();
      charts.forEach((chart) => chart.stop());
    },
  };
}
