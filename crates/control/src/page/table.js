// A table of at most a few hundred rows, patched in place each second.

import { attr, h, keyed, put } from "./dom.js";

/**
 * Columns: {id, label, sort?, cls?, width?, text(row) or fill(td, row), hint?}.
 * `sorted` and `onsort` make heads into buttons.
 */
export class Table {
  constructor({ caption, columns, key, cls = "", onsort, quiet = false }) {
    Object.assign(this, { columns, key, onsort });
    this.heads = columns.map((c) => {
      const content = c.sort && onsort ? h("button", { type: "button", class: "sort", onclick: () => onsort(c.sort) }, c.label) : c.label;
      return h("th", { scope: "col", class: c.cls, title: c.hint }, content || h("span", { class: "sr" }, c.name || "Actions"));
    });
    this.body = h("tbody");
    this.table = h("table", { class: cls },
      h("caption", { class: quiet ? "sr" : "" }, caption),
      h("colgroup", {}, columns.map((c) => h("col", { class: `w-${c.id}${/\bopt\b/.test(c.cls || "") ? " opt" : ""}` }))),
      h("thead", {}, h("tr", {}, this.heads)),
      this.body);
    this.el = h("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption }, this.table);
    this.body.addEventListener("keydown", (e) => this.keys(e));
  }

  sorted(by) {
    this.columns.forEach((c, i) => c.sort && attr(this.heads[i], "aria-sort", c.sort === by ? (c.up ? "ascending" : "descending") : null));
  }

  show(rows) {
    this.el.hidden = rows.length === 0;
    keyed(this.body, rows, this.key, () => this.make(), (tr, row) => this.fill(tr, row));
  }

  make() {
    const cells = this.columns.map((c) => (c.head ? h("th", { scope: "row", class: c.cls }) : h("td", { class: c.cls })));
    const tr = h("tr", {}, cells);
    tr.plCells = cells;
    return tr;
  }

  fill(tr, row) {
    tr.plRow = row;
    this.columns.forEach((c, i) => (c.fill ? c.fill(tr.plCells[i], row) : put(tr.plCells[i], c.text(row))));
  }

  /** Rows by arrow within a table; j and k do the same from anywhere. */
  keys(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (step(this.body, event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
    }
  }
}

/** The focus goes to the first control of the next or last row. */
export function step(body, by) {
  const rows = [...body.children].filter((tr) => tr.querySelector("a,button"));
  if (!rows.length) return false;
  const now = rows.findIndex((tr) => tr.contains(document.activeElement));
  const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + by));
  rows[next].querySelector("a,button").focus();
  return true;
}

/** "1 to 100 of 2 345" with ways to the other pages. */
export class Pager {
  constructor(most, onpage) {
    this.most = most;
    this.words = h("span", { class: "num" }, "");
    this.back = h("button", { type: "button", onclick: () => onpage(Math.max(0, this.from - most)) }, "Previous");
    this.next = h("button", { type: "button", onclick: () => onpage(this.from + most) }, "Next");
    this.from = 0;
    this.el = h("div", { class: "pager" }, this.words, this.back, this.next);
  }

  show(from, shown, total) {
    this.from = from;
    put(this.words, total ? `${Math.min(total, from + 1)} to ${from + shown} of ${total}` : "none");
    this.back.disabled = from <= 0;
    this.next.disabled = from + shown >= total;
  }
}

/** Used of a limit: a bar, and the numbers. */
export function meter(td, used, limit) {
  let parts = td.plMeter;
  if (!parts) {
    const fill = h("i", { "aria-hidden": "true" });
    const text = h("span", { class: "num" });
    td.plMeter = parts = { fill, text, box: h("span", { class: "meter" }, fill) };
    td.append(parts.box, text);
  }
  const share = limit ? Math.min(1, used / limit) : 0;
  const width = `${Math.round(share * 100)}%`;
  if (parts.fill.style.width !== width) parts.fill.style.width = width;
  parts.box.classList.toggle("full", limit > 0 && used >= limit);
  put(parts.text, limit ? `${used}/${limit}` : String(used));
}

/** A link with text that changes in place. */
export function linkCell(td, hash, text) {
  let a = td.firstElementChild;
  if (!a || a.tagName !== "A") {
    a = h("a", {}, h("bdi"));
    td.replaceChildren(a);
  }
  attr(a, "href", hash);
  put(a.firstChild, text);
  attr(td, "title", text.length > 14 ? a.firstChild.textContent : null);
}

/** A name of others' choosing that changes in place. */
export function nameCell(td, text, none = "–") {
  let bdi = td.firstElementChild;
  if (!bdi) td.replaceChildren((bdi = h("bdi")));
  put(bdi, text || none);
  attr(td, "title", text && text.length > 12 ? bdi.textContent : null);
}
