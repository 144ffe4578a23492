// Pools: the table of all, and one pool's own page.

import { attr, empty, h, put } from "./dom.js";
import { Chart, together } from "./chart.js";
import { change, keep, spanOf } from "./route.js";
import { get, query } from "./net.js";
import { Pager, Table, linkCell, meter } from "./table.js";
import { NONE, count, rate, span } from "./units.js";
import { STANDING, connections, fullIn, poolName, times, whereTimeGoes } from "./overview.js";
import { Changes } from "./verdict.js";
import { pause, resume } from "./actions.js";

const MOST = 100;

const COLUMNS = [
  { id: "pool", label: "Pool", head: true, sort: "name", up: true, fill: (td, p) => linkCell(td, keep("pools", poolName(p)), poolName(p)) },
  { id: "standing", label: "Standing", sort: "trouble", fill: (td, p) => {
    put(td, STANDING[p.held_back ? "paused" : p.standing] || p.standing || NONE);
    attr(td, "data-standing", p.standing);
  } },
  { id: "used", label: "Used / limit", sort: "used", fill: (td, p) => meter(td, p.used, p.size) },
  { id: "n", label: "Waiting", cls: "r", sort: "waiting", text: (p) => count(p.waiting) },
  { id: "t", label: "Longest", cls: "r", text: (p) => (p.waiting ? span(p.oldest_wait_us) : NONE), hint: "The longest current wait" },
  { id: "t", label: "Wait", cls: "r", sort: "wait", text: (p) => span(p.wait_us ?? undefined), hint: "Mean wait of those who got a connection" },
  { id: "t", label: "Service", cls: "r", sort: "service", text: (p) => span(p.service_us ?? undefined), hint: "Mean time from a query to its answer" },
  { id: "t", label: "Kept", cls: "r opt", text: (p) => span(p.hold_us ?? undefined), hint: "Mean time that a connection was kept" },
  { id: "n", label: "Silent", cls: "r", text: (p) => (p.suspects ? `${p.silent} (⚑ ${p.suspects})` : count(p.silent)), hint: "Silent inside a transaction (suspected leaks)" },
  { id: "n", label: "Trans/s", cls: "r opt", sort: "rate", text: (p) => rate(p.transactions_per_s) },
  { id: "n", label: "Refused/s", cls: "r", text: (p) => rate(p.refused_per_s) },
  { id: "n", label: "Clients", cls: "r opt", text: (p) => count(p.clients) },
  { id: "full", label: "Full", cls: "r", text: fullIn, hint: "When it will be full at this pace" },
  { id: "mode", label: "Mode", cls: "opt", text: (p) => p.mode },
];

export function view(ctx) {
  return ctx.route().arg ? one(ctx) : all(ctx);
}

/** A filter field that changes the link while one types. */
export function filterField(ctx, label) {
  const field = h("input", { type: "search", id: "filter", placeholder: "Filter ( / )", "aria-label": label, maxlength: "100", autocomplete: "off", spellcheck: "false" });
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ filter: field.value, from: "" }, true), 200);
  });
  field.value = ctx.route().params.filter || "";
  return field;
}

/** The order that a link asks for, where the table knows it. */
export const sortOf = (route, columns, other) => (columns.some((c) => c.sort === route.params.sort) ? route.params.sort : other);

const fromOf = (route) => Math.min(1e6, Number.parseInt(route.params.from, 10) || 0);

function all(ctx) {
  let route = ctx.route();
  const table = new Table({ caption: "Pools", quiet: true, columns: COLUMNS, key: poolName, cls: "pools", onsort: (sort) => change({ sort, from: "" }) });
  const pager = new Pager(MOST, (from) => change({ from: from || "" }));
  const filter = filterField(ctx, "Filter pools by database, user, server or standing");
  const nothing = h("div", { hidden: true });
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Pools"), filter, pager.el,
      h("span", { class: "buttons" },
        h("button", { type: "button", onclick: () => pause("") }, "Pause all …"),
        h("button", { type: "button", onclick: () => resume("") }, "Resume all …"))),
    h("section", { class: "panel" }, table.el, nothing));
  let live = null;

  function show(rows, total) {
    const sort = sortOf(route, COLUMNS, "trouble");
    table.sorted(sort);
    table.show(rows);
    pager.show(fromOf(route), rows.length, total);
    nothing.hidden = rows.length > 0;
    if (!rows.length) nothing.replaceChildren(empty(route.params.filter ? "No pool matches." : "No pool yet.", route.params.filter ? "Escape clears the filter." : "A pool appears when the first client comes."));
  }

  async function load(signal) {
    if (route.params.at) {
      // The past has no sorted pages: what that moment's fold holds is shown.
      const text = (route.params.filter || "").toLowerCase();
      const rows = (live?.pools || []).filter((p) => poolName(p).toLowerCase().includes(text));
      return show(rows.slice(0, MOST), rows.length);
    }
    const page = await get(query("/v1/pools", { sort: sortOf(route, COLUMNS, "trouble"), filter: route.params.filter, most: MOST, from: fromOf(route) || "" }), signal);
    show(page.rows || [], page.total || 0);
  }
  const fetcher = ctx.every(() => 1000, load);
  return {
    el,
    update(next) {
      live = next;
      if (route.params.at) fetcher.now();
    },
    route(next) {
      route = next;
      if (document.activeElement !== filter) filter.value = route.params.filter || "";
      fetcher.now();
    },
    stop: () => fetcher.stop(),
  };
}

function fact(label) {
  const value = h("dd", { class: "num" }, NONE);
  return { el: h("div", { class: "tile" }, h("dt", {}, label), value), set: (text) => put(value, text) };
}

function one(ctx) {
  let route = ctx.route();
  const asked = route.arg;
  const onpin = (ms) => change({ at: String(ms) });
  const charts = together([
    connections(onpin),
    times(onpin),
    new Chart({ level: "h2", title: "Transactions and refusals per second", axis: (v) => rate(v), onpin, series: [
      { key: "transactions_per_s", label: "transactions", kind: "line", say: rate },
      { key: "refused_per_s", label: "refused", kind: "line", say: rate },
    ] }),
    new Chart({ level: "h2", title: "Silent inside a transaction", axis: count, whole: true, onpin, series: [{ key: "silent", label: "silent", kind: "area", say: count }] }),
  ]);
  const facts = {
    standing: fact("Standing"), used: fact("Used / limit"), idle: fact("Idle"), waiting: fact("Waiting"), oldest: fact("Longest wait"), wait: fact("Mean wait"),
    service: fact("Service"), hold: fact("Kept"), silent: fact("Silent"), full: fact("Full"),
  };
  const judged = h("p", { class: "judged" });
  const where = h("span", { class: "dim" });
  const gone = h("p", { class: "dim", hidden: true }, "This pool is not among those that are listed now.");
  const changes = new Changes(30);
  let line = null;
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Pool ", h("bdi", {}, asked)), where,
      h("a", { href: keep("pools") }, "all pools"),
      h("a", { href: keep("leases", "", { filter: asked.split("/")[0] }) }, "its leases"),
      h("span", { class: "buttons" },
        h("button", { type: "button", onclick: () => pause(line?.database || asked.split("/")[0]) }, "Pause its database …"),
        h("button", { type: "button", onclick: () => resume(line?.database || asked.split("/")[0]) }, "Resume its database …"))),
    h("dl", { class: "strip" }, Object.values(facts).map((f) => f.el)),
    judged, gone,
    h("div", { class: "four" }, charts.map((c) => h("section", { class: "panel" }, c.el))),
    h("section", { class: "panel" }, h("h2", {}, "What changed"), changes.el));

  async function load(signal) {
    const looked = spanOf(route, ctx.now());
    if (!looked.until) return;
    const data = await get(query("/v1/chart", { pool: asked, from_ms: Math.floor(looked.from), until_ms: Math.floor(looked.until), points: 300 }), signal);
    for (const chart of charts) chart.show(data, looked.from, looked.until, looked.pin);
    changes.show([...(data.markers || [])].reverse(), looked.pin || ctx.now());
  }

  /** The pool's line: from the second at hand, else asked for by name. */
  async function loadLine(signal) {
    if (route.params.at) return;
    const page = await get(query("/v1/pools", { filter: asked.split("/")[0].slice(0, 30), most: 1000 }), signal);
    show(page.rows?.find((p) => poolName(p) === asked));
  }

  function show(found) {
    line = found || null;
    gone.hidden = Boolean(line);
    if (!line) return;
    facts.standing.set(STANDING[line.held_back ? "paused" : line.standing] || line.standing);
    facts.used.set(`${line.used}/${line.size}`);
    facts.idle.set(count(line.idle));
    facts.waiting.set(count(line.waiting));
    facts.oldest.set(line.waiting ? span(line.oldest_wait_us) : NONE);
    facts.wait.set(span(line.wait_us ?? undefined));
    facts.service.set(span(line.service_us ?? undefined));
    facts.hold.set(span(line.hold_us ?? undefined));
    facts.silent.set(line.suspects ? `${line.silent}, ⚑ ${line.suspects}` : count(line.silent));
    facts.full.set(fullIn(line));
    put(where, `${line.mode} mode, at ${line.server}`);
    put(judged, whereTimeGoes(line));
  }

  const curves = ctx.every(() => Math.max(1000, (spanOf(route, 1e12).until - spanOf(route, 1e12).from) / 300), load);
  let missing = false;
  const lines = ctx.every(() => 2000, (signal) => (missing ? loadLine(signal) : null));
  return {
    el,
    update(live) {
      const found = (live.pools || []).find((p) => poolName(p) === asked);
      missing = !found;
      if (found || live.past) show(found);
      if (!charts[0].data) curves.now();
    },
    route(next) {
      route = next;
      curves.now();
    },
    stop() {
      curves.stop();
      lines.stop();
      charts.forEach((c) => c.stop());
    },
  };
}
