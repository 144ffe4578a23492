// The playbook: chapters, and their steps with commands to copy.

import { clean, command, empty, h } from "./dom.js";
import { keep } from "./route.js";
import { get } from "./net.js";
import { causeTitle } from "./verdict.js";

const LINES_MAX = 2000;

/** `code`, **strong** and links to chapters within a line; all else is text. */
function inline(text) {
  return clean(text).split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]*\))/).filter(Boolean).map((part) => {
    if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
    if (/^\*\*.+\*\*$/.test(part)) return h("b", {}, part.slice(2, -2));
    const link = /^\[([^\]]+)\]\((.*)\)$/.exec(part);
    // Links lead to other chapters or nowhere: never off this page.
    if (link) return /^#\w+$/.test(link[2]) ? h("a", { href: keep("playbook", link[1]) }, link[1]) : link[1];
    return part;
  });
}

/** A step that ends in a command: the command can be copied. */
function stepItem(text) {
  const found = /^(.*?):? `([^`]+)`\.?$/.exec(text);
  return found ? h("li", {}, h("span", {}, inline(`${found[1]}:`)), command(found[2])) : h("li", {}, h("span", {}, inline(text)));
}

/** The few forms of Markdown that the chapters use: heads, lists, commands, text. */
export function markdown(text) {
  const out = [];
  let items = null;
  let code = null;
  for (const line of String(text).split("\n").slice(0, LINES_MAX)) {
    if (/^\s*```/.test(line)) {
      if (code) {
        out.push(...code.filter(Boolean).map((l) => command(l)));
        code = null;
      } else code = [];
      items = null;
    } else if (code) code.push(line.trim());
    else if (/^#{1,6} |^\*\*[^*]+\*\*$/.test(line)) {
      out.push(h("h2", {}, clean(line).replace(/^#+ |\*\*/g, "")));
      items = null;
    } else if (/^( {4}|\t)\S/.test(line)) {
      const shown = command(line.trim());
      (items?.lastElementChild || { append: (el) => out.push(el) }).append(shown);
    } else if (/^\s*([-*]|\d+\.) /.test(line)) {
      const tag = /^\s*\d/.test(line) ? "ol" : "ul";
      if (items?.tagName.toLowerCase() !== tag) out.push((items = h(tag, { class: "steps" })));
      items.append(stepItem(line.replace(/^\s*([-*]|\d+\.) /, "")));
    } else if (line.trim()) {
      if (/^\s{2,}\S/.test(line) && items) items.lastElementChild.append(" ", ...inline(line.trim()).map((p) => p));
      else {
        items = null;
        out.push(h("p", {}, inline(line.replace(/^> ?/, ""))));
      }
    } else if (items && !/^\s/.test(line)) continue;
  }
  return out;
}

const stepList = (title, steps) => (steps?.length
  ? [h("h2", {}, title), h("ol", { class: "steps" }, steps.map((s) => h("li", {}, h("span", {}, inline(s.text)), s.command && command(s.command))))]
  : []);

/** A chapter as parts, or as Markdown with its steps. */
function chapter(c) {
  const parts = [];
  if (c.about) parts.push(h("p", { class: "lead" }, inline(c.about)));
  if (c.now?.length) parts.push(h("div", { class: "note" }, c.now.map((line) => h("p", {}, inline(line)))));
  const named = [["While it hurts", c.during], ["See that it worked", c.verify], ["When it is over", c.after], ["While it is calm", c.before]];
  const structured = named.some(([, steps]) => steps?.length);
  if (structured) for (const [title, steps] of named) parts.push(...stepList(title, steps));
  else if (c.markdown) parts.push(...markdown(c.markdown.replace(/^#+ .*\n/, "")));
  else parts.push(...stepList("Steps", c.steps));
  if (c.never?.length) parts.push(h("h2", {}, "What not to do"), h("ul", { class: "plain" }, c.never.map((n) => h("li", {}, h("b", {}, `✕ ${n.text} `), inline(n.why || "")))));
  if (c.contacts?.length) parts.push(h("h2", {}, "Whom to call"), h("ul", { class: "plain" }, c.contacts.map((x) => h("li", {}, x))));
  if (c.message) parts.push(h("h2", {}, "What to tell people who wait"), h("blockquote", {}, c.message));
  if (c.see?.length) parts.push(h("p", {}, "See also: ", ...c.see.flatMap((id, i) => [i ? ", " : "", h("a", { href: keep("playbook", id) }, id)])));
  return parts;
}

export function view(ctx) {
  const asked = ctx.route().arg;
  const body = h("div", { class: "panel pad chapter" }, h("p", { class: "dim" }, "Opening …"));
  const title = h("h1", {}, asked ? clean(causeTitle(asked), 80).replace(/^./, (c) => c.toUpperCase()) : "Playbook");
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, title, asked && h("a", { href: keep("playbook") }, "all chapters"), command(asked && /^\w+$/.test(asked) ? `plimsoll playbook ${asked}` : "plimsoll diagnose")),
    body);
  const idOf = (c) => c.id || c.label || "";
  const fetcher = ctx.every(() => 0, async (signal) => {
    if (asked) {
      const page = await get(`/v1/playbook/${encodeURIComponent(asked)}`, signal);
      if (page.title) title.textContent = clean(page.title, 160).replace(/^./, (c) => c.toUpperCase());
      body.replaceChildren(...chapter(page.page ? { ...page, ...page.page } : page));
      return;
    }
    const chapters = await get("/v1/playbook", signal);
    if (!chapters.length) return body.replaceChildren(empty("No chapter.", ""));
    const kinds = new Map();
    for (const c of chapters) {
      const kind = c.kind || (idOf(c).startsWith("Plimsoll") ? "alert" : "cause");
      kinds.set(kind, [...(kinds.get(kind) || []), c]);
    }
    body.replaceChildren(h("p", { class: "lead" }, "What to do, step by step, with this installation's names and values. In every outage the first look is the same: the overview, or in a terminal the command above."),
      ...[...kinds].flatMap(([kind, list]) => [h("h2", {}, { alert: "For an alert", cause: "For a cause", symptom: "For what people report" }[kind] || kind),
        h("ul", { class: "chapters" }, list.map((c) => h("li", {}, h("a", { href: keep("playbook", idOf(c)) }, c.title || idOf(c)), " ", h("span", { class: "dim" }, idOf(c)))))]));
  });
  return { el, update() {}, route: () => {}, stop: () => fetcher.stop() };
}
