// Settings: what serves here and at the other instances, the history, the difference
// between two versions, the way back, and drift.

import { attr, clean, cleanLines, command, empty, h, put, swap } from "./dom.js";
import { change, keep } from "./route.js";
import { get } from "./net.js";
import { panel } from "./fleet.js";
import { rollback, takeBack } from "./actions.js";
import { Table } from "./table.js";
import { ago, moment, near } from "./units.js";

const HISTORY = 100;
/** Lines around a change. */
const AROUND = 3;
/** Cells of the comparison: beyond, the middle is shown as replaced. */
const CELLS_MAX = 4_000_000;

/** Lines of two texts as [sign, line, number]; the longest common part is kept. */
export function difference(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [x, y] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const out = a.slice(0, head).map((line) => [" ", line]);
  if (x.length * y.length > CELLS_MAX) out.push(...x.map((l) => ["-", l]), ...y.map((l) => ["+", l]));
  else out.push(...middle(x, y));
  out.push(...a.slice(a.length - tail).map((line) => [" ", line]));
  return out;
}

function middle(x, y) {
  const width = y.length + 1;
  const best = new Uint32Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i -= 1) {
    for (let j = y.length - 1; j >= 0; j -= 1) {
      best[i * width + j] = x[i] === y[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const out = [];
  let [i, j] = [0, 0];
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      out.push([" ", x[i]]);
      i += 1;
      j += 1;
    } else if (i < x.length && (j >= y.length || best[(i + 1) * width + j] >= best[i * width + j + 1])) out.push(["-", x[i++]]);
    else out.push(["+", y[j++]]);
  }
  return out;
}

const SAID = { "-": "removed: ", "+": "added: ", " ": "" };

/** Only what is near a change, as rows of a <pre>. */
function rowsOf(lines) {
  const near = new Set();
  lines.forEach(([sign], i) => {
    if (sign === " ") return;
    for (let k = i - AROUND; k <= i + AROUND; k += 1) near.add(k);
  });
  const rows = [];
  let gap = false;
  lines.forEach(([sign, line], i) => {
    if (!near.has(i)) {
      if (!gap) rows.push(h("span", { class: "row gap" }, "⋯"));
      gap = true;
      return;
    }
    gap = false;
    rows.push(h("span", { class: sign === "+" ? "row plus" : sign === "-" ? "row minus" : "row" },
      h("span", { "aria-hidden": "true" }, `${sign} `), SAID[sign] && h("span", { class: "sr" }, SAID[sign]), line));
  });
  return rows;
}

function compare(from, to) {
  const texts = (v) => new Map((v.files || []).map(([path, text]) => [String(path), text]));
  const [a, b] = [texts(from), texts(to)];
  const parts = [];
  for (const path of new Set([...a.keys(), ...b.keys()])) {
    const lines = difference(a.has(path) ? cleanLines(a.get(path)) : [], b.has(path) ? cleanLines(b.get(path)) : []);
    if (lines.every(([sign]) => sign === " ")) continue;
    parts.push(h("h3", {}, h("bdi", {}, clean(path, 200))), h("pre", { class: "diff", tabindex: "0", role: "region", "aria-label": clean(`Difference in ${path}`, 200) }, rowsOf(lines)));
  }
  return parts.length ? parts : [h("p", { class: "dim pad" }, "Their texts are the same.")];
}

const STATE_WORDS = { applied: "✓ applied", adopted: "✓ adopted", rolled_back: "↩ rolled back", refused: "✕ refused", temporary: "◷ temporary" };

export function view(ctx) {
  let route = ctx.route();
  let serving = 0;
  const status = h("div");
  const drift = h("div");
  const diff = h("section", { class: "panel", hidden: true, id: "difference", "aria-label": "Difference" });
  const choose = (which, v) => change({ [which]: String(v) }, true);
  const radio = (which) => (td, line) => {
    let field = td.firstElementChild;
    if (!field) {
      field = h("input", { type: "radio", name: which, onchange: () => choose(which, td.plVersion) });
      td.append(field);
    }
    td.plVersion = line.version;
    field.checked = route.params[which] === String(line.version);
    attr(field, "aria-label", `Compare ${which} version ${line.version}`);
  };
  const columns = [
    { id: "n", label: "From", fill: radio("from") },
    { id: "n", label: "To", fill: radio("to") },
    { id: "n", label: "Version", cls: "r", head: true, text: (l) => `${l.current ? "▸ " : ""}${l.version}` },
    { id: "when", label: "When, UTC", text: (l) => near(l.at_ms, ctx.now()) },
    { id: "state", label: "State", text: (l) => `${STATE_WORDS[l.state] || l.state.replaceAll("_", " ")}${l.current ? ", serves" : ""}` },
    { id: "who", label: "Who", text: (l) => `${l.actor || "–"} (${l.origin})` },
    { id: "why", label: "Why, and what became of it", fill: (td, l) => {
      const text = [l.reason, l.detail, l.note].filter(Boolean).join(" — ");
      put(td, text || "–");
      attr(td, "title", clean(text, 400) || null);
    } },
    { id: "act", label: "", name: "Actions", fill: (td, l) => {
      const sign = `${l.version} ${l.current} ${l.from}`;
      swap(td, sign, () => [
        l.from != null && h("button", { type: "button", class: "small", onclick: () => change({ from: String(l.from), to: String(l.version) }, true), "aria-label": `Changes of version ${l.version}` }, "Changes"), " ",
        !l.current && h("button", { type: "button", class: "small", onclick: () => rollback(l.version, moment(l.at_ms)).then(() => fetcher.now()), "aria-label": `Roll back … to version ${l.version}` }, "Roll back …"),
      ]);
    } },
  ];
  const table = new Table({ caption: "History of the settings", quiet: true, columns, key: (l) => l.version, cls: "history" });
  const nothing = h("div", { hidden: true }, empty("No history yet.", "Each change of the settings will stand here."));
  const fleet = panel();
  let channel = false;
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Settings")), drift,
    h("section", { class: "panel pad", "aria-label": "What serves" }, status), fleet.el,
    diff,
    h("section", { class: "panel" }, h("h2", {}, "History"), table.el, nothing));

  function showStatus(s) {
    serving = s.version;
    swap(status, JSON.stringify(s), () => [
      h("p", { class: "lead" }, "Version ", h("b", { class: "num" }, String(s.version)), " serves, from ", h("code", {}, clean(s.path, 200)), s.source === "store" ? " (kept by Plimsoll)" : ""),
      h("p", { class: "dim" }, [`hash ${String(s.hash).slice(0, 12)}`, s.directory ? `history in ${s.directory}` : "the history is in memory only", s.temporary?.length ? `set by the console for now: ${s.temporary.join(", ")}` : ""].filter(Boolean).join(" · ")),
      s.etcd && h("p", { class: "dim" }, `The text is in etcd: ${s.etcd}`),
      s.held_back && h("p", { class: "note bad" }, `✕ Not ready: ${s.held_back}`),
      s.open && h("p", { class: "note" }, `◷ Version ${s.open.version} is on its way: ${s.open.state.replaceAll("_", " ")} ${s.open.detail} `, h("button", { type: "button", class: "small", onclick: () => takeBack().then(() => fetcher.now()) }, "Take it back …")),
      h("p", {}, "Check a change before it serves: ", command("plimsoll plan")),
    ]);
    swap(drift, JSON.stringify([s.drift, s.drift_since_ms]), () => (s.drift
      ? h("div", { class: "note bad", role: "group", "aria-label": "Drift" }, h("p", {}, h("b", {}, "≠ Drift: "), "the settings file says what does not serve", s.drift_since_ms ? `, since ${moment(s.drift_since_ms)} UTC (${ago(ctx.now() - s.drift_since_ms)})` : "", ". ", h("span", {}, s.drift)), h("p", {}, "See what it would do, then apply it or put the file back: ", command("plimsoll plan")))
      : null));
  }

  let shown = "";
  async function showDifference(signal) {
    const { from, to } = route.params;
    const sign = `${from} ${to}`;
    if (!/^\d{1,18}$/.test(from || "") || !/^\d{1,18}$/.test(to || "")) {
      diff.hidden = true;
      shown = "";
      return;
    }
    if (sign === shown) return;
    const [a, b] = await Promise.all([get(`/v1/settings/versions/${from}`, signal), get(`/v1/settings/versions/${to}`, signal)]);
    shown = sign;
    diff.hidden = false;
    diff.replaceChildren(
      h("div", { class: "head" }, h("h2", {}, `From version ${from} to ${to}`), h("button", { type: "button", class: "small", onclick: () => change({ from: "", to: "" }, true) }, "Close"),
        Number(from) !== serving && h("button", { type: "button", class: "small", onclick: () => rollback(Number(from), moment(a.line?.at_ms)) }, `Roll back to ${from} …`)),
      ...compare(a, b),
      b.events?.length ? h("ul", { class: "events" }, b.events.slice(0, 50).map(([at, what, text]) => h("li", {}, h("span", { class: "num dim" }, `${moment(at)} `), h("b", {}, what.replaceAll("_", " ")), ` ${text}`))) : "");
  }

  async function load(signal) {
    const [s, lines] = await Promise.all([get("/v1/settings", signal), get(`/v1/settings/history?most=${HISTORY}`, signal)]);
    showStatus(s);
    table.show(lines.slice(0, HISTORY));
    nothing.hidden = lines.length > 0;
    await showDifference(signal);
    if (channel) await fleet.load(signal);
  }
  const fetcher = ctx.every(() => 5000, load);
  return {
    el,
    update(live) {
      if (live.channel === channel) return;
      channel = live.channel;
      fleet.el.hidden = true;
      if (channel) fetcher.now();
    },
    route(next) {
      route = next;
      fetcher.now();
    },
    stop: () => fetcher.stop(),
  };
}

