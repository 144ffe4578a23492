// Leases: who holds a connection, since when, and with which statement; and what
// a person may do about it.

import { attr, clean, empty, h, put } from "./dom.js";
import { cancelLease, closeButton, dialog, killClient, reclaimLease } from "./actions.js";
import { change } from "./route.js";
import { filterField, sortOf } from "./pools.js";
import { get, query } from "./net.js";
import { Pager, Table, nameCell } from "./table.js";
import { NONE, span } from "./units.js";

const MOST = 100;

const columns = (onact) => [
  { id: "act", label: "", name: "Act on it", fill: (td, l) => {
    let button = td.firstElementChild;
    if (!button) {
      button = h("button", { type: "button", class: "small", onclick: () => onact(td.plLease) }, "Act …");
      td.append(button);
    }
    td.plLease = l;
    attr(button, "aria-label", clean(`Act on the lease of ${l.application || l.user}, client ${l.client}`, 160));
  } },
  { id: "app", label: "Application", head: true, sort: "application", up: true, fill: (td, l) => nameCell(td, l.application, "(no name)") },
  { id: "release", label: "Release", cls: "opt", fill: (td, l) => nameCell(td, l.release) },
  { id: "route", label: "Route", cls: "opt", fill: (td, l) => nameCell(td, l.route) },
  { id: "t", label: "Held", cls: "r", sort: "held", text: (l) => span(l.held_us) },
  { id: "t", label: "Silent", cls: "r", sort: "silent", text: (l) => (l.silent_us == null ? NONE : span(l.silent_us)), hint: "Silent inside a transaction" },
  { id: "state", label: "State", sort: "state", up: true, fill: (td, l) => put(td, l.suspicion ? `⚑ ${l.suspicion}, ${l.sure} %` : l.state) },
  { id: "pool", label: "Database, user", sort: "database", up: true, fill: (td, l) => nameCell(td, `${l.database}/${l.user}`) },
  { id: "addr", label: "From", cls: "opt", fill: (td, l) => nameCell(td, l.address) },
  { id: "stmt", label: "Last statement", fill: (td, l) => {
    let code = td.firstElementChild;
    if (!code) td.append((code = h("code")));
    put(code, l.statement || NONE);
    attr(td, "title", clean(l.statement, 400) || null);
  } },
];

/** Everything of one lease, and the three things that can be done. */
function open(lease) {
  const rows = [
    ["Application", lease.application || "(no name)"], ["Release", lease.release], ["Route", lease.route], ["From", lease.address],
    ["Database, user", `${lease.database}/${lease.user}`], ["State", lease.state], ["Held for", span(lease.held_us)],
    ["Silent for", lease.silent_us == null ? "" : span(lease.silent_us)], ["Suspected of", lease.suspicion ? `${lease.suspicion}, ${lease.sure} % sure` : ""],
    ["Never taken back by itself", lease.exempt], ["Server process", lease.remote_pid ? String(lease.remote_pid) : ""], ["Tags", lease.tags], ["Client", lease.client],
  ].filter(([, value]) => value);
  const doing = (act) => async () => {
    box.close();
    await act(lease);
  };
  const box = dialog("Lease", h("div", {},
    h("dl", { class: "facts-list" }, rows.map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, h("bdi", {}, clean(value, 400)))))),
    h("p", { class: "dim" }, "Last statement, literals left out:"),
    h("pre", { tabindex: "0" }, h("code", {}, clean(lease.statement || "not known"))),
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: doing(cancelLease) }, "Cancel statement …"),
      h("button", { type: "button", onclick: doing(reclaimLease) }, "Take back …"),
      h("button", { type: "button", onclick: doing(killClient) }, "Disconnect …"),
      closeButton(() => box))), "wide");
}

export function view(ctx) {
  let route = ctx.route();
  const table = new Table({ caption: "Leases", quiet: true, columns: columns(open), key: (l) => l.client, cls: "leases", onsort: (sort) => change({ sort, from: "" }) });
  const pager = new Pager(MOST, (from) => change({ from: from || "" }));
  const filter = filterField(ctx, "Filter leases by application, release, database, user, tags, state, address or client");
  const nothing = h("div", { hidden: true });
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Leases"), filter, pager.el),
    h("section", { class: "panel" }, table.el, nothing));
  const from = () => Math.min(1e6, Number.parseInt(route.params.from, 10) || 0);

  async function load(signal) {
    if (route.params.at) {
      table.show([]);
      pager.show(0, 0, 0);
      nothing.hidden = false;
      return nothing.replaceChildren(empty("Leases of the past are not kept.", "Applications of that moment stand in the overview. Go back to now to see who holds connections."));
    }
    const sort = sortOf(route, table.columns, "held");
    const page = await get(query("/v1/leases", { sort, filter: route.params.filter, most: MOST, from: from() || "" }), signal);
    const rows = page.rows || [];
    table.sorted(sort);
    table.show(rows);
    pager.show(from(), rows.length, page.total || 0);
    nothing.hidden = rows.length > 0;
    if (!rows.length) nothing.replaceChildren(empty(route.params.filter ? "No lease matches." : "Nobody holds a connection.", route.params.filter ? "Escape clears the filter." : ""));
  }
  const fetcher = ctx.every(() => 1000, load);
  return {
    el,
    update() {},
    route(next) {
      route = next;
      if (document.activeElement !== filter) filter.value = route.params.filter || "";
      fetcher.now();
    },
    stop: () => fetcher.stop(),
  };
}
