// Numbers and times as people read them. No clock in here: ages are given.

const THIN = "\u202f";
export const NONE = "–";

const known = (v) => typeof v === "number" && Number.isFinite(v);

/** A whole number, grouped: 12 345. */
export function count(v) {
  if (!known(v)) return NONE;
  const text = String(Math.round(v));
  return text.length > 4 ? text.replace(/\B(?=(\d{3})+$)/g, THIN) : text;
}

/** In a second. */
export function rate(v) {
  if (!known(v)) return NONE;
  if (v === 0) return "0";
  if (v < 0.1) return "<0.1";
  if (v < 10) return v.toFixed(1);
  return count(v);
}

/** Microseconds as µs, ms, s, min, h or d. */
export function span(us) {
  if (!known(us)) return NONE;
  const v = Math.abs(us);
  const say = (n, digits, unit) => `${n.toFixed(digits)}${THIN}${unit}`;
  if (v === 0) return `0${THIN}ms`;
  if (v < 999.5) return say(us, 0, "µs");
  if (v < 9_950) return say(us / 1e3, 1, "ms");
  if (v < 999_500) return say(us / 1e3, 0, "ms");
  if (v < 9.95e6) return say(us / 1e6, 1, "s");
  if (v < 119.5e6) return say(us / 1e6, 0, "s");
  if (v < 7.17e9) return say(us / 6e7, 0, "min");
  if (v < 1.728e11) return say(us / 3.6e9, 1, "h");
  return say(us / 8.64e10, 1, "d");
}

/** Milliseconds, likewise. */
export const spanMs = (ms) => (known(ms) ? span(Math.max(0, ms) * 1e3) : NONE);
/** Seconds, likewise. */
export const spanS = (s) => (known(s) ? span(s * 1e6) : NONE);

/** How long ago, in whole units: it may not flicker. */
export function ago(ms) {
  if (!known(ms)) return NONE;
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return `${s}${THIN}s`;
  const min = Math.floor(s / 60);
  if (min < 120) return `${min}${THIN}min`;
  const h = Math.floor(min / 60);
  if (h < 48) return `${h}${THIN}h ${String(min % 60).padStart(2, "0")}${THIN}min`;
  return `${Math.floor(h / 24)}${THIN}d ${h % 24}${THIN}h`;
}

const iso = (ms) => (known(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : "");
/** 14:10:02, UTC. */
export const clock = (ms) => iso(ms).slice(11, 19) || NONE;
/** 14:10, UTC. */
export const minute = (ms) => iso(ms).slice(11, 16) || NONE;
/** 2026-11-21, UTC. */
export const day = (ms) => iso(ms).slice(0, 10) || NONE;
/** 2026-11-21 14:10:02, UTC. */
export const moment = (ms) => (iso(ms) ? `${day(ms)} ${clock(ms)}` : NONE);
/** The clock alone on the same day as `now`, else day and clock. */
export const near = (ms, now) => (day(ms) === day(now) ? clock(ms) : moment(ms));

function plain(v) {
  const a = Math.abs(v);
  if (a >= 10 || Number.isInteger(v)) return count(v);
  return v.toFixed(a >= 1 ? 1 : 2);
}

const UNITS = {
  count: plain,
  per_second: (v) => `${plain(v)}/s`,
  percent: (v) => `${plain(v)}${THIN}%`,
  times: (v) => `${plain(v)}${THIN}×`,
  bytes: (v) => (v >= 1048576 ? `${(v / 1048576).toFixed(1)}${THIN}MiB` : `${count(v)} bytes`),
  seconds: spanS,
  micros: span,
};

/** A value of a figure in its unit. */
export const valued = (v, unit) => (known(v) ? (UNITS[unit] || plain)(v) : NONE);

/** A measurement that a verdict cites, as one phrase. */
export function figure(f) {
  if (!f) return "";
  const of = f.of ? ` of ${f.of}` : "";
  const against = f.against ? ` (${f.against[0]} ${valued(f.against[1], f.unit)})` : "";
  return `${String(f.name).replaceAll("_", " ")}${of} ${valued(f.value, f.unit)}${against}`;
}
