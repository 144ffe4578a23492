// The budget: for each database server the line, and who takes what of its
// connections.

import { empty, h, keyed, put } from "./dom.js";
import { count, rate, span } from "./units.js";

/** From left to right; a pattern and a letter beside the colour. */
const PARTS = [
  ["used", "used by this instance"],
  ["free", "free below the line"],
  ["peers", "held by the fleet's other instances"],
  ["rest", "left to the fleet's other instances"],
  ["stated", "above the line that the settings state"],
  ["others", "used by others"],
  ["headroom", "left free on purpose"],
  ["reserved", "reserved by the server"],
];

function shares(s) {
  const parts = { used: s.used, free: Math.max(0, s.line - s.used), peers: s.peers_held, others: s.others || 0, headroom: s.headroom, reserved: s.reserved };
  const sum = Object.values(parts).reduce((a, b) => a + b, 0);
  const most = Math.max(s.max_connections, s.line, 1);
  const left = Math.max(0, most - sum);
  // What nobody takes is the peers' where there are some; else a line was stated that is lower than what there is.
  parts.rest = s.peers ? left : 0;
  parts.stated = s.peers ? 0 : left;
  return { parts, whole: Math.max(most, sum + left) };
}

const many = (n, one, more) => `${count(n)} ${n === 1 ? one : more}`;

function words(s) {
  const said = [];
  if (s.max_connections) {
    said.push(`The server takes ${many(s.max_connections, "connection", "connections")} in all.`);
    const gone = [s.reserved && `${count(s.reserved)} are reserved`, s.others == null ? "those of others were not read" : `${count(s.others)} are used by others`, s.headroom && `${count(s.headroom)} are left free on purpose`, s.peers && `${many(s.peers, "other instance holds", "other instances hold")} ${count(s.peers_held)}`];
    said.push(`${gone.filter(Boolean).join(", ")}.`.replace(/^./, (c) => c.toUpperCase()));
  } else said.push("Nothing was read from the server: the line is what the settings say.");
  const left = s.line - s.used;
  said.push(`The line of this instance is ${count(s.line)}: ${count(s.used)} used, ${left >= 0 ? `${count(left)} left` : `${count(-left)} above it; it goes back to the line as connections are returned`}.`);
  return said.join(" ");
}

function make() {
  const title = h("h2");
  const state = h("span", { class: "pill" });
  const segments = {};
  const bar = h("div", { class: "stack" });
  // The load line: what may be used is to its left.
  const load = h("span", { class: "num" });
  const mark = h("i", { class: "load" }, load);
  const legend = h("ul", { class: "stack-legend" });
  for (const [key, label] of PARTS) {
    const seg = h("i", { class: `seg s-${key}` });
    const value = h("b", { class: "num" });
    const li = h("li", {}, h("i", { class: `seg s-${key}`, "aria-hidden": "true" }), value, ` ${label}`);
    segments[key] = { seg, value, li };
    bar.append(seg);
    legend.append(li);
  }
  const text = h("p", { class: "words" });
  const line = h("p", { class: "dim num" });
  const el = h("section", { class: "panel budget" }, h("div", { class: "head" }, title, state), h("div", { class: "lined", "aria-hidden": "true" }, bar, mark), legend, text, line);
  el.plParts = { title, state, segments, load, mark, text, line };
  return el;
}

function fill(el, s) {
  const p = el.plParts;
  put(p.title, s.server);
  put(p.state, s.state === "known" ? "✓ known" : `? ${s.state}`);
  const { parts, whole } = shares(s);
  for (const [key] of PARTS) {
    const { seg, value, li } = p.segments[key];
    const width = `${((100 * parts[key]) / whole).toFixed(2)}%`;
    if (seg.style.width !== width) seg.style.width = width;
    seg.hidden = !parts[key];
    li.hidden = !parts[key] && key !== "used";
    put(value, count(parts[key]));
  }
  const at = (100 * Math.min(whole, s.line)) / whole;
  const left = `calc(${at.toFixed(2)}% - 1.5px)`;
  if (p.mark.style.left !== left) p.mark.style.left = left;
  p.mark.classList.toggle("low", at < 20);
  put(p.load, `line ${count(s.line)}`);
  put(p.text, words(s));
  const facts = [
    s.probe_us != null && `trivial query ${span(s.probe_us)}`, s.rtt_us != null && `TCP round trip ${span(s.rtt_us)}`,
    s.active == null ? "backends that work: not read" : `${many(s.active, "backend works", "backends work")}`,
    s.blocked != null && `${many(s.blocked, "waits", "wait")} for locks`,
    s.failed_per_s > 0 && `${rate(s.failed_per_s)}/s failed${s.last_error ? `, last ${s.last_error}` : ""}`,
  ];
  put(p.line, facts.filter(Boolean).join(" · "));
}

export function view() {
  const list = h("div", { class: "servers" });
  const nothing = h("div", {}, empty("No database server yet.", "One appears when its first pool is opened."));
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Budget"), h("p", { class: "dim" }, "Plimsoll never opens a connection at or above the line.")),
    list, nothing);
  return {
    el,
    update(live) {
      nothing.hidden = Boolean(live.servers?.length);
      keyed(list, (live.servers || []).slice(0, 100), (s) => s.server, make, fill);
    },
    route() {},
    stop() {},
  };
}
