// Elements made by hand. Nothing from the server ever becomes markup: all text
// goes through text nodes, and through clean() first.

// Control, format (bidi, zero width, tags), surrogate and private characters,
// and the line separators: what could hide or reorder text.
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu;
const TEXT_MAX = 4000;

/** Text with odd characters as visible escapes, cut at a length. */
export function clean(text, most = TEXT_MAX) {
  let out = String(text ?? "");
  if (out.length > most) out = `${out.slice(0, most - 1)}…`;
  return out.replace(ODD, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** A statement or a file: line ends and tabs are meant. */
export const cleanLines = (text) =>
  String(text ?? "").split(/\r?\n/).map((line) => clean(line.replaceAll("\t", "    "), 2000));

/** An element; `on…` are listeners, the rest attributes; children are nodes or text. */
export function h(tag, props, ...kids) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  for (const kid of kids.flat()) {
    if (kid == null || kid === false) continue;
    el.append(kid instanceof Node ? kid : clean(kid));
  }
  return el;
}

/** A name that others chose: it cannot turn its surroundings around. */
export const name = (text, empty = "–") =>
  h("bdi", { title: text && text.length > 12 ? clean(text, 300) : null }, clean(text, 120) || empty);

const NS = "http://www.w3.org/2000/svg";
export function svg(tag, props) {
  const el = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(props || {})) el.setAttribute(key, value);
  return el;
}

/** Sets text only where it differs: an unchanged screen costs nothing. */
export function put(el, text) {
  const wanted = clean(text);
  if (el.plText === wanted && el.childNodes.length <= 1) return el;
  el.plText = wanted;
  el.textContent = wanted;
  return el;
}

export function attr(el, key, value) {
  if (value == null || value === false) {
    if (el.hasAttribute(key)) el.removeAttribute(key);
  } else if (el.getAttribute(key) !== String(value)) el.setAttribute(key, String(value));
  return el;
}

/** Shows children in place of others, only where `sign` differs from the last. */
export function swap(el, sign, make) {
  if (el.plSign === sign) return;
  el.plSign = sign;
  el.plText = undefined;
  const kids = [make()].flat().filter((kid) => kid != null && kid !== false);
  el.replaceChildren(...kids.map((kid) => (kid instanceof Node ? kid : document.createTextNode(clean(kid)))));
}

/**
 * Children of `parent` as rows say: one element for each key, kept, moved or
 * removed. The focus survives a move.
 */
export function keyed(parent, rows, key, make, fill) {
  const kept = (parent.plKept ||= new Map());
  const held = parent.contains(document.activeElement) ? document.activeElement : null;
  const wanted = new Map();
  for (const row of rows) wanted.set(key(row), row);
  for (const [k, el] of kept) {
    if (wanted.has(k)) continue;
    kept.delete(k);
    el.remove();
  }
  let at = parent.firstChild;
  for (const [k, row] of wanted) {
    let el = kept.get(k);
    if (!el) kept.set(k, (el = make(row)));
    fill?.(el, row);
    if (el === at) at = at.nextSibling;
    else parent.insertBefore(el, at);
  }
  if (held && held !== document.activeElement && held.isConnected) held.focus({ preventScroll: true });
}

let told = 0;
/** A short message at the edge, read out. */
export function toast(text) {
  const box = document.getElementById("toast");
  put(box, text);
  box.classList.add("on");
  clearTimeout(told);
  told = setTimeout(() => {
    box.classList.remove("on");
    put(box, "");
  }, 5000);
}

export async function copyText(text, what = "Copied.") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    // Without a secure origin there is no clipboard: the text can be marked by hand.
    toast("The browser does not allow copying here: mark the text and copy it.");
  }
}

/** A command to copy. */
export function command(text) {
  const shown = clean(text);
  return h("span", { class: "cmd" },
    h("code", { tabindex: "0", role: "group", "aria-label": "Command" }, shown),
    h("button", { type: "button", class: "copy", "aria-label": `Copy the command ${shown.slice(0, 60)}`, onclick: () => copyText(shown, "Command copied.") }, "Copy"));
}

/** What is shown where there is nothing, or where something failed. */
export const empty = (title, text) =>
  h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text && h("p", {}, text));

/** One stored choice of this browser; without storage it is forgotten. */
export function remembered(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(`plimsoll.${key}`);
    if (value === null) localStorage.removeItem(`plimsoll.${key}`);
    else localStorage.setItem(`plimsoll.${key}`, value);
  } catch {
    // Private windows may have none.
  }
  return null;
}
