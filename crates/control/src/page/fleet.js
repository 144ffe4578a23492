// The fleet: the other instances, how it stands with each, and whether they serve
// the same settings.

import { attr, clean, empty, h, put, swap } from "./dom.js";
import { get } from "./net.js";
import { Table, nameCell } from "./table.js";
import { NONE, ago, count } from "./units.js";

/** Most rows: as many as there may be peers. */
const ROWS = 256;
const SIGNS = { ok: "✓", silent: "✕", refused: "✕", liar: "✕" };
const FOUND = { static: "by a list", dns: "by a name", view: "by their sessions at the server", etcd: "in etcd" };

const stateOf = (p) => {
  const since = p.state === "ok" ? "" : ` for ${ago(p.state_ms)}`;
  return `${SIGNS[p.state] || "≠"} ${p.state.replaceAll("_", " ")}${since}`;
};
const servesOf = (p) => (p.same_settings == null ? NONE : p.same_settings ? "✓ the same" : "≠ others");
const heldOf = (p) => p.servers.slice(0, 3).map((s) => `${count(s.share)} / ${count(s.held)}`).join(", ") || NONE;

/** What is said in full where a cell is short. */
function titled(td, text, full) {
  put(td, text);
  attr(td, "title", full ? clean(full, 400) : null);
}

const COLUMNS = [
  { id: "who", label: "Instance", head: true, fill: (td, p) => nameCell(td, p.instance, "(never heard)") },
  { id: "at", label: "Address", fill: (td, p) => nameCell(td, p.address) },
  { id: "state", label: "State", fill: (td, p) => titled(td, stateOf(p), p.why) },
  { id: "ready", label: "Ready", fill: (td, p) => titled(td, p.heard_ms == null ? NONE : p.ready ? "✓ yes" : "✕ no", p.ready_reason) },
  { id: "same", label: "Settings", fill: (td, p) => titled(td, servesOf(p), p.settings && `hash ${p.settings.slice(0, 12)}`) },
  { id: "held", label: "Share / held", cls: "r", hint: "Of each database server: what it may hold, and what it holds", fill: (td, p) =>
    titled(td, heldOf(p), p.servers.map((s) => `${s.server}: may hold ${count(s.share)} of ${count(s.line)}, holds ${count(s.held)}`).join("; ")) },
  { id: "v", label: "Version", fill: (td, p) => nameCell(td, p.version) },
];

/** In words: how it goes on the whole. */
function said(fleet) {
  const ok = fleet.peers.filter((p) => p.state === "ok").length;
  const others = fleet.peers.length;
  const heard = others === 0 ? "no other instance is known yet" : `${count(ok)} of ${count(others)} other ${others === 1 ? "instance is" : "instances are"} heard`;
  return `${heard}; they are found ${FOUND[fleet.discover] || `by ${fleet.discover}`}.`;
}

const keyOf = (p) => `${p.instance} ${p.instance ? "" : p.address}`;

/** A section that is hidden where this instance has no channel to others. */
export function panel() {
  const lead = h("p", { class: "lead" });
  const notes = h("div");
  const table = new Table({ caption: "Other instances of the fleet", quiet: true, columns: COLUMNS, key: keyOf, cls: "fleet" });
  const nothing = h("div", {}, empty("Nobody else is known.", "Another instance appears here when it is found."));
  const el = h("section", { class: "panel", hidden: true, id: "fleet" }, h("h2", {}, "Fleet"), h("div", { class: "pad" }, lead, notes), table.el, nothing);

  function show(fleet) {
    swap(lead, JSON.stringify([fleet.fleet, fleet.instance, said(fleet)]), () => ["Fleet ", h("b", {}, h("bdi", {}, clean(fleet.fleet, 120))), ", this is ", h("bdi", {}, clean(fleet.instance, 120)), `: ${said(fleet)}`]);
    const others = fleet.peers.filter((p) => p.same_settings === false).length;
    swap(notes, JSON.stringify([fleet.problem, others, fleet.settings.length]), () => [
      fleet.problem && h("p", { class: "note" }, `The others are not found now, those found before are still asked: ${fleet.problem}`),
      others > 0 && h("p", { class: "note" }, `≠ ${count(fleet.settings.length)} different settings serve. For longer than a rollout takes that is an alert.`),
    ]);
    const worse = (p) => (p.state === "ok" ? 1 : 0);
    table.show([...fleet.peers].sort((a, b) => worse(a) - worse(b)).slice(0, ROWS));
    nothing.hidden = fleet.peers.length > 0;
    el.hidden = false;
  }

  return {
    el,
    async load(signal) {
      show(await get("/v1/fleet", signal));
    },
  };
}
