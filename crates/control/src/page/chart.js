// Curves over time as SVG: a shared axis, gaps where nothing was measured,
// markers as lines, a read-out for pointer and keyboard.

import { attr, clean, h, put, svg } from "./dom.js";
import { clock, minute, moment, span } from "./units.js";

const LEFT = 46;
const RIGHT = 10;
const TOP = 18;
const BOTTOM = 18;
const MARKERS_MAX = 60;

/** What happened, as one letter and a word: never as a colour alone. */
export const KINDS = {
  settings: ["S", "settings"],
  rolled_back: ["↩", "taken back"],
  drift: ["≠", "drift"],
  release: ["R", "release"],
  started: ["▸", "start"],
  guard: ["G", "guard"],
  secret: ["K", "secret"],
  server: ["D", "database server"],
  line: ["L", "line"],
  action: ["A", "action"],
  alert: ["!", "alert"],
};
export const kindOf = (kind) => KINDS[kind] || ["•", "other"];

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Moments for the axis, on round seconds, minutes or hours of UTC. */
function timeTicks(from, until, most) {
  const wanted = (until - from) / 1000 / Math.max(1, most);
  const step = (STEPS_S.find((s) => s >= wanted) || 86400) * 1000;
  const ticks = [];
  for (let t = Math.ceil(from / step) * step; t <= until && ticks.length < 50; t += step) ticks.push(t);
  return { ticks, label: step < 60_000 ? clock : minute };
}

/** 1, 2 or 5 times a power of ten, at or above. */
function round125(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  const lead = v / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10) * power;
}

/** From 0, with a few round ticks. */
function linear(most, whole) {
  const step = Math.max(round125(Math.max(most, 1e-9) / 4), whole ? 1 : 0);
  const top = Math.max(step, Math.ceil((most * 1.04) / step) * step);
  const ticks = [];
  for (let i = 0; i * step <= top + step / 1e6 && i < 12; i += 1) ticks.push(i * step);
  return { ticks, at: (v) => v / top };
}

/** Powers of ten: 4 ms of service and 2 s of waiting on one axis. */
function logarithmic(least, most) {
  const low = Math.floor(Math.log10(Math.max(least, 10)));
  const high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(most, 10))));
  const ticks = [];
  for (let e = low; e <= high; e += 1) ticks.push(10 ** e);
  return { ticks, at: (v) => (Math.log10(Math.max(v, 10 ** low)) - low) / (high - low) };
}

const isNumber = (v) => typeof v === "number" && Number.isFinite(v);

/**
 * One chart. `series`: {key, label, kind: "line"|"step"|"area", say}. Its data
 * come from a Chart of the API under the same keys.
 */
export class Chart {
  constructor({ title, series, log = false, whole = false, axis, onpin, level = "h3", small = false }) {
    Object.assign(this, { title, series, log, whole, axis: axis || String, onpin });
    this.data = null;
    this.group = [this];
    this.legend = series.map((s) => {
      const value = h("b", { class: "num" }, "–");
      const el = h("span", { class: `key k-${s.key}` }, h("i", { "aria-hidden": "true" }), `${s.label} `, value);
      return { el, value };
    });
    this.when = h("span", { class: "when num dim" }, "");
    this.svg = svg("svg", { role: "img", class: "curves" });
    this.probe = h("div", { class: "probe", role: "slider", tabindex: "0", "aria-label": `${title}: read values by time`, "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "no data" });
    this.tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.none = h("p", { class: "no-data" }, "Asking …");
    this.plot = h("div", { class: "plot" }, this.svg, this.probe, this.tip, this.none);
    this.el = h("figure", { class: small ? "chart small" : "chart" },
      h("figcaption", {}, h(level, {}, title), h("span", { class: "legend" }, this.legend.map((l) => l.el)), this.when),
      this.plot);
    this.build();
    this.listen();
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot);
  }

  stop() {
    this.sizes.disconnect();
  }

  build() {
    const hatch = `hatch-${this.title.replace(/\W/g, "")}`;
    const pattern = svg("pattern", { id: hatch, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(svg("path", { d: "M0 0V6", class: "hatch" }));
    const defs = svg("defs");
    defs.append(pattern);
    this.grid = svg("g", { class: "grid" });
    this.lines = svg("g");
    this.paths = this.series.map((s) => {
      const area = s.kind === "area" && svg("path", { class: `area a-${s.key}`, ...(s.key === "waiting" ? { fill: `url(#${hatch})` } : {}) });
      const line = svg("path", { class: `line l-${s.key}` });
      if (area) this.lines.append(area);
      this.lines.append(line);
      return { area, line };
    });
    this.marks = svg("g", { class: "marks" });
    this.pinned = svg("path", { class: "pinned" });
    this.cursor = svg("path", { class: "cursor" });
    this.svg.append(defs, this.grid, this.lines, this.marks, this.pinned, this.cursor);
  }

  listen() {
    const at = (event) => {
      const box = this.plot.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / Math.max(1, this.width - LEFT - RIGHT);
      return this.from + Math.min(1, Math.max(0, share)) * (this.until - this.from);
    };
    const all = (ms) => this.group.forEach((chart) => chart.hover(ms));
    this.probe.addEventListener("pointermove", (e) => this.data && all(at(e)));
    this.probe.addEventListener("pointerleave", () => all(null));
    this.probe.addEventListener("blur", () => all(null));
    this.probe.addEventListener("click", (e) => this.data && this.onpin?.(Math.round(at(e))));
    this.probe.addEventListener("keydown", (e) => {
      const times = this.data?.at_ms || [];
      if (!times.length) return;
      const last = times.length - 1;
      const now = this.hovered == null ? last : this.nearest(this.hovered);
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[e.key];
      if (to !== undefined) all(times[Math.min(last, Math.max(0, to))]);
      else if (e.key === "Enter" || e.key === " ") this.onpin?.(times[now]);
      else if (e.key === "Escape" && this.hovered != null) all(null);
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
  }

  /** Shows a Chart of the API between two moments; `pin` is the moment looked at. */
  show(data, from, until, pin) {
    Object.assign(this, { data, from, until, pin });
    this.draw();
  }

  nearest(ms) {
    const times = this.data.at_ms;
    let low = 0;
    let high = times.length - 1;
    while (high - low > 1) {
      const mid = (low + high) >> 1;
      if (times[mid] < ms) low = mid;
      else high = mid;
    }
    return Math.abs(times[low] - ms) <= Math.abs(times[high] - ms) ? low : high;
  }

  /** The newest moment with a value; the last one may still be under way. */
  newest() {
    const last = this.data.at_ms.length - 1;
    const known = (i) => this.series.some((s) => isNumber(this.data[s.key]?.[i]));
    for (let i = last; i > last - 5 && i >= 0; i -= 1) if (known(i)) return i;
    return last;
  }

  x(ms) {
    return LEFT + ((ms - this.from) / (this.until - this.from)) * (this.width - LEFT - RIGHT);
  }

  y(v) {
    return this.height - BOTTOM - this.scale.at(v) * (this.height - TOP - BOTTOM);
  }

  draw() {
    this.width = this.plot.clientWidth;
    this.height = this.plot.clientHeight;
    if (!this.width || !this.height || !this.data) return;
    const { data } = this;
    attr(this.svg, "viewBox", `0 0 ${this.width} ${this.height}`);
    let most = 0;
    let least = Infinity;
    for (const s of this.series) {
      for (const v of data[s.key] || []) {
        if (!isNumber(v)) continue;
        if (v > most) most = v;
        if (v > 0 && v < least) least = v;
      }
    }
    const some = this.series.some((s) => (data[s.key] || []).some(isNumber));
    this.none.hidden = some;
    put(this.none, "Nothing was measured in this range.");
    this.scale = this.log ? logarithmic(least === Infinity ? 1e3 : least, most || 1e5) : linear(most || 1, this.whole);
    this.drawGrid();
    this.series.forEach((s, i) => this.drawSeries(s, this.paths[i]));
    this.drawMarkers(data.markers || []);
    const pin = this.pin && this.pin >= this.from && this.pin <= this.until ? `M${this.x(this.pin).toFixed(1)} ${TOP - 4}V${this.height - BOTTOM}` : "";
    attr(this.pinned, "d", pin);
    this.hover(this.hovered ?? null);
    this.describe();
  }

  drawGrid() {
    const right = this.width - RIGHT;
    const base = this.height - BOTTOM;
    const parts = [];
    const text = (x, y, anchor, label) => {
      const el = svg("text", { x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor });
      el.textContent = label;
      return el;
    };
    const every = Math.ceil(this.scale.ticks.length / Math.max(2, Math.floor((base - TOP) / 20)));
    this.scale.ticks.forEach((v, i) => {
      if (i % every) return;
      const y = Math.round(this.y(v)) + 0.5;
      parts.push(svg("path", { d: `M${LEFT} ${y}H${right}`, class: i ? "rule" : "base" }), text(LEFT - 6, y + 3.5, "end", this.axis(v)));
    });
    const { ticks, label } = timeTicks(this.from, this.until, Math.floor((right - LEFT) / 74));
    for (const t of ticks) {
      const x = this.x(t);
      parts.push(svg("path", { d: `M${Math.round(x) + 0.5} ${base}v4`, class: "base" }));
      if (x > LEFT + 12 && x < right - 18) parts.push(text(x, base + 14, "middle", label(t)));
    }
    this.grid.replaceChildren(...parts);
  }

  drawSeries(series, { area, line }) {
    const values = this.data[series.key] || [];
    const times = this.data.at_ms;
    const base = (this.height - BOTTOM).toFixed(1);
    let d = "";
    let fill = "";
    let start = null;
    let last = null;
    const end = () => {
      if (start !== null && area) fill += `V${base}H${start}Z`;
      // One value alone shows as a dot.
      if (start !== null && last === start) d += "h.1";
      start = null;
    };
    for (let i = 0; i < times.length; i += 1) {
      const v = values[i];
      if (!isNumber(v) || times[i] < this.from || times[i] > this.until) {
        end();
        continue;
      }
      const x = this.x(times[i]).toFixed(1);
      const y = this.y(v).toFixed(1);
      if (start === null) {
        d += `M${x} ${y}`;
        fill += `M${x} ${base}V${y}`;
        start = x;
      } else if (series.kind === "step") d += `H${x}V${y}`;
      else {
        d += `L${x} ${y}`;
        fill += `L${x} ${y}`;
      }
      last = x;
    }
    end();
    attr(line, "d", d);
    if (area) attr(area, "d", fill);
  }

  /** Lines with a letter on top; those too near to each other share one. */
  drawMarkers(markers) {
    const seen = markers.filter((m) => m.at_ms >= this.from && m.at_ms <= this.until).slice(-MARKERS_MAX);
    seen.sort((a, b) => a.at_ms - b.at_ms);
    const parts = [];
    let group = null;
    const flush = () => {
      if (!group) return;
      const x = Math.min(this.width - RIGHT - 7, Math.max(LEFT + 7, group.x));
      const label = group.all.length > 1 ? String(group.all.length) : kindOf(group.all[0].kind)[0];
      const kind = group.all.length > 1 ? "many" : group.all[0].kind;
      const box = svg("rect", { x: (x - 7).toFixed(1), y: 1, width: 14, height: 14, rx: 3, class: `flag f-${kindOf(kind)[0] === "•" ? "many" : kind}` });
      const text = svg("text", { x: x.toFixed(1), y: 12, "text-anchor": "middle", class: "flag-text" });
      text.textContent = label;
      parts.push(box, text);
      group = null;
    };
    for (const marker of seen) {
      const x = this.x(marker.at_ms);
      parts.push(svg("path", { d: `M${x.toFixed(1)} 15V${this.height - BOTTOM}`, class: "event" }));
      if (group && x - group.x > 16) flush();
      group ||= { x, all: [] };
      group.all.push(marker);
    }
    flush();
    this.marks.replaceChildren(...parts);
    this.markers = seen;
  }

  say(series, v) {
    return isNumber(v) ? series.say(v) : "–";
  }

  hover(ms) {
    this.hovered = ms;
    if (!this.data || !this.scale) return;
    const times = this.data.at_ms;
    const at = ms == null || !times.length ? this.newest() : this.nearest(ms);
    // Without a pointer: the moment looked at, else the newest value.
    const index = ms == null && this.pin && times.length ? this.nearest(this.pin) : at;
    this.series.forEach((s, i) => put(this.legend[i].value, this.say(s, this.data[s.key]?.[index])));
    const shown = ms != null && times.length > 0;
    put(this.when, shown ? clock(times[at]) : "");
    attr(this.cursor, "d", shown ? `M${this.x(times[at]).toFixed(1)} ${TOP}V${this.height - BOTTOM}` : "");
    const nearby = shown ? this.markers.filter((m) => Math.abs(this.x(m.at_ms) - this.x(ms)) < 8).slice(-3) : [];
    const told = nearby.map((m) => `${clock(m.at_ms)} ${kindOf(m.kind)[1]} ${clean(m.subject, 40)}: ${clean(m.text, 120)}`);
    this.tip.hidden = !told.length;
    if (told.length) {
      put(this.tip, told.join("  ·  "));
      this.tip.classList.toggle("left", this.x(ms) > this.width / 2);
    }
    attr(this.probe, "aria-valuemax", Math.max(0, times.length - 1));
    attr(this.probe, "aria-valuenow", Math.max(0, index));
    // Only what somebody reads by keyboard is said; each second would be too much.
    if (shown || !this.said) {
      this.said = true;
      const values = this.series.map((s) => `${s.label} ${this.say(s, this.data[s.key]?.[index])}`);
      attr(this.probe, "aria-valuetext", times.length ? [clock(times[index]), ...values, ...told].join(", ") : "no data");
    }
  }

  /** What the curves show, in words. */
  describe() {
    const parts = this.series.map((s) => {
      const values = (this.data[s.key] || []).filter(isNumber);
      if (!values.length) return `${s.label}: not measured`;
      return `${s.label}: ${s.say(values.at(-1))} at last, at most ${s.say(values.reduce((a, b) => Math.max(a, b)))}`;
    });
    const markers = (this.markers || []).length;
    attr(this.svg, "aria-label", clean(`${this.title}, ${moment(this.from)} to ${clock(this.until)} UTC. ${parts.join("; ")}. ${markers} changes marked.`, 600));
  }
}

/** Charts that are read together. */
export function together(charts) {
  for (const chart of charts) chart.group = charts;
  return charts;
}

export const timeAxis = (us) => span(us).replace(".0", "");
