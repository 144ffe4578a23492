// Incidents: the list, and one incident with its timeline, its report and what
// people note.

import { clean, cleanLines, copyText, empty, h, keyed, name, put, swap } from "./dom.js";
import { closeIncident, note } from "./actions.js";
import { KINDS } from "./chart.js";
import { keep } from "./route.js";
import { get, getText } from "./net.js";
import { Table, linkCell } from "./table.js";
import { CAUSE_LABELS, causeTitle } from "./verdict.js";
import { ago, figure, moment, near, spanMs } from "./units.js";

export const STANDINGS = { open: "■ open", recovering: "◢ recovering", closed: "✓ closed" };
export const SEVERITIES = { critical: "■ critical", error: "▲ error", warning: "◆ warning", info: "• info" };
const NOTE_MAX = 2000;

export function view(ctx) {
  return ctx.route().arg ? one(ctx) : all(ctx);
}

function all(ctx) {
  const columns = [
    { id: "id", label: "Incident", head: true, fill: (td, i) => linkCell(td, keep("incidents", i.id, { at: "" }), i.id) },
    { id: "state", label: "Standing", text: (i) => STANDINGS[i.standing] || i.standing },
    { id: "sev", label: "Severity", text: (i) => SEVERITIES[i.severity] || i.severity },
    { id: "when", label: "Began, UTC", text: (i) => near(i.onset_ms, ctx.now()) },
    { id: "t", label: "Took", cls: "r", text: (i) => spanMs(i.duration_ms) },
    { id: "why", label: "What", text: (i) => i.title },
    { id: "cause", label: "Cause", text: (i) => (i.cause ? causeTitle(i.cause) : "unknown") },
    { id: "n", label: "Notes", cls: "r", text: (i) => String(i.notes) },
  ];
  const table = new Table({ caption: "Incidents, the newest first", quiet: true, columns, key: (i) => i.id, cls: "incidents" });
  const nothing = h("div", { hidden: true }, empty("No incident so far.", "An alert that needs a person opens one by itself."));
  const el = h("div", { class: "page" }, h("div", { class: "head" }, h("h1", {}, "Incidents")), h("section", { class: "panel" }, table.el, nothing));
  const fetcher = ctx.every(() => 3000, async (signal) => {
    const rows = await get("/v1/incidents?most=200", signal);
    table.show(rows);
    nothing.hidden = rows.length > 0;
  });
  return { el, update() {}, route: () => fetcher.now(), stop: () => fetcher.stop() };
}

const list = (title, rows) => (rows?.length ? [h("h3", {}, title), h("ul", { class: "plain" }, rows.slice(0, 60).map((r) => h("li", {}, r)))] : []);
const PROOFS = { rule: (n) => `plimsoll check finds nothing under ${n}`, setting: (n) => `${n[0]} = ${n[1]}`, alert: (n) => `${n} reaches the team`, command: (n) => n };
const proofOf = (proof) => PROOFS[proof?.kind]?.(proof.name) || "";
const KIND_WORDS = { verdict: ["∴", "diagnosis"], note: ["✎", "note"], incident: ["■", "incident"] };

function reportOf(r, now) {
  const s = r.summary || {};
  const cause = r.cause;
  return [
    h("h2", {}, r.standing === "closed" ? "Report" : "Report, a draft while it lasts"),
    h("p", { class: "num" }, `${moment(s.from_ms)} UTC to ${s.until_ms ? `${near(s.until_ms, s.from_ms)} UTC` : "now"}, ${spanMs(s.duration_ms)}. First alert after ${spanMs(s.to_alert_ms)}${s.to_cause_ms == null ? "" : `, cause named after ${spanMs(s.to_cause_ms)}`}.`),
    ...list("What clients felt", s.impact),
    h("h3", {}, "Root cause"),
    cause ? h("p", {}, h("b", {}, causeTitle(cause.cause)), ` ${cause.sure}\u202f% sure. ${cause.text}`) : h("p", {}, "Unknown: no rule's conditions held."),
    cause?.figures?.length ? h("p", { class: "dim" }, cause.figures.slice(0, 8).map(figure).join(" · ")) : "",
    cause?.change ? h("p", {}, `Brought by: ${near(cause.change.at_ms, now)} ${cause.change.subject} ${cause.change.text}${cause.change.actor ? `, by ${cause.change.actor}` : ""}`) : "",
    ...list("Resolution", r.resolution),
    ...list("What made it possible or worse", r.factors),
    ...list("Hypotheses", (r.hypotheses || []).map((x) => `${causeTitle(x.cause)} (${(x.by || []).join(", ")}): ${x.outcome}`)),
    ...list("Paths that people followed", (r.paths || []).map((p) => `${causeTitle(p.cause)}: ${spanMs(p.spent_ms)}, ${(p.actors || []).join(", ")}`)),
    ...list("What could be better", r.improvements),
    ...list("Tasks", (r.tasks || []).map((t) => `${t.text}${proofOf(t.proof) ? ` — proven when: ${proofOf(t.proof)}` : ""}`)),
  ];
}

function one(ctx) {
  const id = ctx.route().arg;
  const path = `/v1/incidents/${encodeURIComponent(id)}`;
  const lead = h("div", { class: "panel pad" });
  const timeline = h("ol", { class: "timeline" });
  const report = h("section", { class: "panel pad", "aria-label": "Report" });
  const notes = h("ol", { class: "notes" });
  const text = h("textarea", { id: "note", rows: "3", maxlength: String(NOTE_MAX), required: true });
  const looking = h("select", { id: "note-path" }, h("option", { value: "" }, "nothing in particular"), CAUSE_LABELS.map((c) => h("option", { value: c }, causeTitle(c))));
  const form = h("form", { class: "note-form", method: "dialog" },
    h("label", { for: "note" }, "What you saw, or look into"), text,
    h("label", { for: "note-path" }, "Looking into"), looking,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "main" }, "Note it …")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!text.value.trim()) return text.focus();
    if (await note(id, text.value.trim(), looking.value)) {
      text.value = "";
      looking.value = "";
      fetcher.now();
    }
  });
  const markdown = h("pre", { class: "markdown", tabindex: "0", hidden: true, role: "region", "aria-label": "The report as Markdown" });
  const close = h("button", { type: "button", hidden: true, onclick: () => closeIncident(id).then(() => fetcher.now()) }, "Close it …");
  const copyReport = async () => {
    const told = await getText(`${path}/markdown`).catch((fault) => fault.message);
    markdown.hidden = false;
    markdown.replaceChildren(h("code", {}, ...cleanLines(told).map((l) => document.createTextNode(`${l}\n`))));
    await copyText(told, "The report was copied as Markdown.");
  };
  const el = h("div", { class: "page" },
    h("div", { class: "head" }, h("h1", {}, "Incident ", name(id)), h("a", { href: keep("incidents") }, "all incidents"),
      h("span", { class: "buttons" }, h("button", { type: "button", onclick: copyReport }, "Copy the report as Markdown"), close)),
    lead, markdown,
    h("div", { class: "duo" },
      h("div", {}, h("section", { class: "panel pad" }, h("h2", {}, "Timeline, UTC"), timeline),
        h("section", { class: "panel pad" }, h("h2", {}, "Notes"), notes, form)),
      report));

  async function load(signal) {
    const [incident, told] = await Promise.all([get(path, signal), get(`${path}/report`, signal)]);
    const now = ctx.now();
    close.hidden = incident.standing === "closed";
    swap(lead, JSON.stringify([incident.standing, incident.title, incident.ended, Math.floor(now / 10000)]), () => [
      h("p", { class: "lead" }, h("b", {}, `${STANDINGS[incident.standing] || incident.standing} · ${SEVERITIES[incident.severity] || incident.severity} `), incident.title),
      h("p", { class: "dim num" }, `Began ${moment(incident.onset_ms)} UTC, ${ago(now - incident.onset_ms)} ago`, incident.recovered_ms ? `, well since ${near(incident.recovered_ms, incident.onset_ms)}` : "", incident.closed_ms ? `, closed ${near(incident.closed_ms, incident.onset_ms)}${incident.closed_by?.[0] ? ` by ${incident.closed_by[0]}` : ""}` : "", incident.reopened ? `, came back ${incident.reopened} times` : "", " · ",
        h("a", { href: keep("overview", "", { at: String(incident.onset_ms) }) }, "look at its begin")),
    ]);
    keyed(timeline, (incident.timeline || []).slice(-400), (e) => `${e.at_ms} ${e.kind} ${e.text}`, (e) => {
      const [letter, word] = KIND_WORDS[e.kind] || KINDS[e.kind] || ["•", e.kind];
      return h("li", { class: `e-${KINDS[e.kind] || KIND_WORDS[e.kind] ? e.kind : "other"}` }, h("a", { class: "num", href: keep("overview", "", { at: String(e.at_ms) }) }, near(e.at_ms, incident.onset_ms)),
        h("span", { class: "flag-box", "aria-hidden": "true" }, letter), h("span", {}, h("b", {}, word), " ", e.subject ? h("bdi", {}, clean(e.subject, 80)) : "", " ", clean(e.text, 600), e.actor ? h("span", { class: "dim" }, ` · ${clean(e.actor, 80)}`) : ""));
    });
    keyed(notes, incident.notes || [], (n) => `${n.at_ms} ${n.actor} ${n.text}`, (n) =>
      h("li", {}, h("span", { class: "num dim" }, `${near(n.at_ms, now)} `), h("b", {}, n.actor || "somebody"), n.path ? ` looks into ${causeTitle(n.path)}` : "", h("p", {}, n.text)));
    swap(report, JSON.stringify({ ...told, summary: { ...told.summary, duration_ms: Math.floor((told.summary?.duration_ms || 0) / 10000), figures: 0 } }), () => reportOf(told, now));
  }
  const fetcher = ctx.every(() => 3000, load);
  return { el, update() {}, route: () => fetcher.now(), stop: () => fetcher.stop() };
}

