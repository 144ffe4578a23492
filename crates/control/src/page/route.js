// Where the page is, as text after '#': a permanent link for each view and moment.

export const VIEWS = ["overview", "pools", "leases", "budget", "settings", "incidents", "alerts", "playbook"];
export const RANGES = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400 };
const TEXT_MAX = 300;
/** What the API takes: moments up to the year 2100, filters of so many bytes. */
const MOMENT_MAX = 4_102_444_800_000;
const FILTER_BYTES = 100;

/** A filter that the API takes: one line, cut between characters. */
function short(text) {
  let out = text.replace(/\p{Cc}/gu, "");
  while (new TextEncoder().encode(out).length > FILTER_BYTES) out = [...out].slice(0, -1).join("");
  return out;
}

/** {view, arg, params} of a hash; whatever is odd becomes the overview. */
export function parse(hash) {
  const [path, text] = hash.replace(/^#\/?/, "").split("?", 2);
  let [view, ...rest] = path.split("/");
  if (!VIEWS.includes(view)) [view, rest] = ["overview", []];
  let arg = "";
  try {
    arg = decodeURIComponent(rest.join("/")).slice(0, TEXT_MAX);
  } catch {
    // A broken link leads to the list.
  }
  const params = {};
  for (const [key, value] of new URLSearchParams(text || "")) {
    if (/^[a-z]{1,12}$/.test(key)) params[key] = value.slice(0, TEXT_MAX);
  }
  if (!/^\d{1,13}$/.test(params.at || "") || Number(params.at) > MOMENT_MAX) delete params.at;
  if (params.filter) params.filter = short(params.filter);
  if (!Object.hasOwn(RANGES, params.range || "")) delete params.range;
  return { view, arg, params };
}

/** The hash of a view. */
export function href(view, arg, params) {
  const found = Object.entries(params || {}).filter(([, v]) => v != null && v !== "");
  const text = found.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");
  const path = arg ? `${view}/${encodeURIComponent(arg)}` : view;
  return text ? `#/${path}?${text}` : `#/${path}`;
}

export const current = () => parse(location.hash);

/** A link that keeps the range and the moment that are looked at. */
export function keep(view, arg, params) {
  const { at, range } = current().params;
  return href(view, arg, { range, at, ...params });
}

export const go = (hash) => {
  location.hash = hash;
};

/** Changes some parameters of where the page is. */
export function change(params, replace = false) {
  const now = current();
  const hash = href(now.view, now.arg, { ...now.params, ...params });
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else go(hash);
}

/** The span of time looked at: {from, until, pin}, in the pooler's time. */
export function spanOf(route, now) {
  const range = RANGES[route.params.range || "15m"] * 1000;
  const pin = route.params.at ? Number(route.params.at) : 0;
  // What came after a moment is part of its story, as far as there is any.
  const until = pin ? Math.min(now || pin, pin + range / 3) : now;
  return { from: until - range, until, pin };
}
