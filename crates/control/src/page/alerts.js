// Alerts that are seen, and who is told.

import { command, empty, h, keyed, put, swap } from "./dom.js";
import { testNotifier } from "./actions.js";
import { keep } from "./route.js";
import { get } from "./net.js";
import { Table } from "./table.js";
import { ago, count, figure, near, spanS } from "./units.js";
import { SEVERITIES } from "./incidents.js";
import { causeTitle } from "./verdict.js";

const chapterOf = (alert) => (alert.runbook || "").split("#")[1] || alert.name;

function content(a, now) {
  return [
    h("div", { class: "head" }, h("h2", {}, a.name), h("span", { class: `pill p-${a.severity}` }, SEVERITIES[a.severity] || a.severity),
      h("span", { class: "pill" }, a.state === "firing" ? "fires" : a.state), h("span", { class: "dim num" }, `since ${near(a.fired_ms || a.since_ms, now)} UTC, ${ago(now - (a.fired_ms || a.since_ms))}`),
      h("a", { href: keep("playbook", chapterOf(a)) }, "playbook")),
    h("p", { class: "lead" }, a.summary),
    a.cause && h("p", {}, h("b", {}, `${causeTitle(a.cause[0])}: `), a.cause[1]),
    a.forecast && h("p", {}, `Too late in ${spanS(a.forecast.left_s)}, at ${count(a.forecast.slope_per_hour)} more connections in an hour (${a.forecast.kind}).`),
    a.figures?.length ? h("p", { class: "dim" }, a.figures.slice(0, 10).map(figure).join(" · ")) : null,
    a.next?.length ? h("ol", { class: "steps" }, a.next.slice(0, 6).map((s) => h("li", {}, h("span", {}, s.text), s.command && command(s.command)))) : null,
    a.owner && h("p", { class: "dim" }, `Looked after by ${[a.owner.team, a.owner.channel, a.owner.escalation].filter(Boolean).join(", ")}`),
  ];
}

export function view(ctx) {
  const list = h("div", { class: "cards" });
  const nothing = h("div", { hidden: true }, empty("✓ No alert.", "Nothing needs a person."));
  const columns = [
    { id: "app", label: "Notifier", head: true, text: (n) => n.name },
    { id: "n", label: "Sent", cls: "r", text: (n) => count(n.sent) },
    { id: "n", label: "Failed", cls: "r", text: (n) => count(n.failed) },
    { id: "n", label: "Given up", cls: "r", text: (n) => count(n.dropped) },
    { id: "n", label: "Waiting", cls: "r", text: (n) => count(n.queued) },
    { id: "why", label: "Last failure", text: (n) => n.last_error || "–" },
    { id: "act", label: "", name: "Actions", fill: (td, n) => swap(td, n.name, () => h("button", { type: "button", class: "small", onclick: () => testNotifier(n.name).then(() => told.now()) }, "Test …")) },
  ];
  const table = new Table({ caption: "Notifiers", quiet: true, columns, key: (n) => n.name, cls: "notifiers" });
  const none = h("p", { class: "dim pad", hidden: true });
  const guards = h("ul", { class: "guards" });
  const el = h("div", { class: "page" }, h("div", { class: "head" }, h("h1", {}, "Alerts")), list, nothing,
    h("section", { class: "panel" }, h("h2", {}, "Who is told"), table.el, none),
    h("section", { class: "panel" }, h("h2", {}, "What Plimsoll may do by itself"), guards));
  const fetcher = ctx.every(() => 2000, async (signal) => {
    const rows = await get("/v1/alerts", signal);
    nothing.hidden = rows.length > 0;
    keyed(list, rows.slice(0, 100), (a) => `${a.name} ${a.key}`, () => h("article", { class: "panel pad" }), (card, a) => {
      swap(card, JSON.stringify([a, Math.floor(ctx.now() / 10000)]), () => content(a, ctx.now()));
    });
  });
  const told = ctx.every(() => 10000, async (signal) => {
    let rows = [];
    try {
      rows = await get("/v1/notifiers", signal);
    } catch (fault) {
      if (fault.status !== 503) throw fault;
    }
    table.show(rows);
    table.el.hidden = !rows.length;
    none.hidden = rows.length > 0;
    put(none, "Nobody: name a notifier in [notify.NAME] of the settings file.");
  });
  return {
    el,
    update(live) {
      keyed(guards, (live.guards || []).slice(0, 30), (g) => g.name, () => h("li"), (li, g) => put(li, `${g.mode === "enforce" ? "●" : "○"} ${g.name}: ${g.mode}, acted ${count(g.acted)} times${g.would_have ? `, would have ${count(g.would_have)} times` : ""}`));
    },
    route: () => fetcher.now(),
    stop() {
      fetcher.stop();
      told.stop();
    },
  };
}

