// What the diagnosis says, in words: state, sentence, how sure, since when, what
// to do, and what it is not.

import { attr, clean, command, h, keyed, put, swap } from "./dom.js";
import { keep } from "./route.js";
import { ago, clock, figure, near } from "./units.js";
import { kindOf } from "./chart.js";

/** Shape and word for each state; the colour only repeats it. */
const STATES = {
  calm: ["✓", "Calm"],
  strained: ["▲", "Strained"],
  hurt: ["■", "Clients suffer"],
  unknown: ["?", "Unknown"],
};
export const stateOf = (verdict) => STATES[verdict?.state] || STATES.unknown;

const CAUSES = {
  limit_too_small: "the pool's limit is too small",
  limit_too_large: "the limit is more than the server can work on",
  upstream_pool_too_small: "the application's own pool is too small",
  upstream_leak: "the application leaks connections of its own pool",
  leak: "connections are borrowed and not returned",
  growth: "traffic has outgrown the limit",
  settings_change: "a change of settings",
  slow_statements: "statements got slower",
  locks: "statements wait for locks",
  server_saturated: "the server is out of CPU or IO",
  network: "the network",
  abusive_source: "one source takes far more than its share",
  connection_storm: "a storm of new connections",
  database_down: "the database is down or has moved",
  credentials: "credentials are refused",
  budget_squeezed: "others took the server's connections",
  pooler_starved: "the pooler itself lacks CPU",
};
export const CAUSE_LABELS = Object.keys(CAUSES);
export const causeTitle = (cause) => CAUSES[cause] || clean(cause).replaceAll("_", " ");

/** A few words of it, for a chip. */
const SHORT = {
  limit_too_small: "limit too small", limit_too_large: "limit too large", upstream_pool_too_small: "app's pool too small",
  upstream_leak: "leak in app's pool", leak: "leak", growth: "growth", settings_change: "settings change", slow_statements: "slow statements",
  locks: "locks", server_saturated: "server CPU or IO", network: "network", abusive_source: "abusive source", connection_storm: "connection storm",
  database_down: "database down", credentials: "credentials", budget_squeezed: "others' connections", pooler_starved: "pooler's CPU",
};
/** What people suspect first comes first: it is what they want to see ruled out. */
const SUSPECTED = ["network", "server_saturated", "slow_statements", "abusive_source", "locks", "database_down"];
const suspected = (row) => (SUSPECTED.includes(row.cause) ? SUSPECTED.indexOf(row.cause) : SUSPECTED.length);
const shortly = (cause) => SHORT[cause] || clean(cause).replaceAll("_", " ");

/** The panel. `full` shows everything; else the first answer and its next steps. */
export class VerdictPanel {
  constructor({ full = false } = {}) {
    this.full = full;
    this.open = "";
    this.glyph = h("span", { class: "glyph", "aria-hidden": "true" });
    this.word = h("span", { class: "state-word" });
    this.summary = h("h2", { class: "summary" }, "Asking …");
    this.facts = h("p", { class: "facts" });
    this.answers = h("ol", { class: "answers" });
    this.noCause = h("p", { class: "no-cause", hidden: true });
    this.next = h("div", { class: "next" });
    this.chips = h("ul", { class: "chips", "aria-label": "What it is not, and what is not known" });
    this.more = h("div", { class: "chip-more", hidden: true });
    this.all = h("button", { type: "button", class: "all-chips", "aria-expanded": "false", onclick: () => {
      const open = this.not.classList.toggle("all");
      attr(this.all, "aria-expanded", String(open));
    } });
    this.head = h("h3", {}, "It is not");
    this.not = h("div", { class: "not" }, this.head, this.chips, this.all, this.more);
    this.el = h("section", { class: "verdict", "data-state": "unknown", "aria-label": "Diagnosis" },
      h("div", { class: "state" }, this.glyph, this.word),
      h("div", { class: "said" }, this.summary, this.facts, this.noCause, this.answers),
      this.next,
      this.not);
  }

  /** `alerts`: those that fire; they tell what to do when nobody suffers. */
  show(verdict, now, alerts = []) {
    const [glyph, word] = stateOf(verdict);
    attr(this.el, "data-state", STATES[verdict.state] ? verdict.state : "unknown");
    put(this.glyph, glyph);
    put(this.word, word);
    put(this.summary, verdict.summary || "Nothing was measured yet.");
    this.showFacts(verdict, now);
    this.showAnswers(verdict, now);
    this.showNext(verdict, alerts[0]);
    this.showChips(verdict);
  }

  showFacts(verdict, now) {
    const first = verdict.findings?.[0];
    const parts = [];
    if (verdict.onset_ms) parts.push(`since ${near(verdict.onset_ms, now)} UTC, for ${ago(now - verdict.onset_ms)}`);
    for (const symptom of (verdict.symptoms || []).slice(0, this.full ? 12 : 3)) parts.push(figure(symptom));
    if (!first && verdict.state === "calm") parts.push(`as of ${clock(verdict.at_ms)} UTC`);
    put(this.facts, parts.join(" · "));
  }

  showAnswers(verdict, now) {
    const findings = (verdict.findings || []).slice(0, this.full ? 8 : 2);
    keyed(this.answers, findings, (f) => f.cause, () => {
      const sure = h("b", { class: "sure num" });
      const title = h("b", { class: "cause" });
      const text = h("span", { class: "why" });
      const change = h("span", { class: "change" });
      const li = h("li", {}, h("div", { class: "answer" }, title, " ", sure, " ", text), change);
      li.plParts = { sure, title, text, change };
      return li;
    }, (li, f) => {
      const { sure, title, text, change } = li.plParts;
      put(title, causeTitle(f.cause));
      put(sure, `${f.sure}\u202f% sure`);
      // The summary often begins with the first finding's sentence: once is enough.
      const said = verdict.summary?.startsWith(f.text) ? (f.figures || []).slice(0, 4).map(figure).join(" · ") : f.text;
      put(text, said);
      attr(text, "title", (f.figures || []).map(figure).join("\n") || null);
      const c = f.change;
      put(change, c ? `${kindOf(c.kind)[0]} ${near(c.at_ms, now)} ${kindOf(c.kind)[1]}${c.subject ? ` ${clean(c.subject, 60)}` : ""}: ${clean(c.text, 160)}${c.actor ? `, by ${clean(c.actor, 60)}` : ""}` : "");
    });
    this.answers.hidden = !findings.length;
    this.noCause.hidden = findings.length > 0 || !["hurt", "strained"].includes(verdict.state);
    const [out, open] = [verdict.ruled_out?.length || 0, verdict.unknown?.length || 0];
    put(this.noCause, `The cause is unknown: the figures support none. ${out} ${out === 1 ? "is" : "are"} ruled out, ${open} cannot be judged for want of a measurement.`);
  }

  showNext(verdict, alert) {
    const first = verdict.findings?.[0];
    const steps = (first?.next || []).slice(0, this.full ? 8 : 2);
    const sign = JSON.stringify([first?.cause, steps, verdict.state, alert?.name]);
    swap(this.next, sign, () => {
      if (!steps.length) {
        const calm = verdict.state === "calm";
        if (calm && alert) {
          return [h("h3", {}, "Next ", h("a", { href: keep("playbook", alert.name), class: "minor" }, "playbook")),
            h("p", {}, `Nobody suffers, and yet: ${clean(alert.summary, 200)}.`), command(`plimsoll playbook ${clean(alert.name, 60)}`)];
        }
        return [h("h3", {}, "Next"), h("p", { class: "dim" }, calm ? "Nothing needs to be done." : "No step is known for this. The playbook has one chapter for each symptom."),
          !calm && command("plimsoll diagnose")];
      }
      return [
        h("h3", {}, "Next ", h("a", { href: keep("playbook", first.cause), class: "minor" }, "playbook")),
        h("ol", { class: "steps" }, steps.map((s) => h("li", {}, h("span", {}, s.text), s.command && command(s.command)))),
      ];
    });
  }

  showChips(verdict) {
    const out = (verdict.ruled_out || []).map((r) => ({ cause: r.cause, out: true, text: r.text, figure: r.figure })).sort((a, b) => suspected(a) - suspected(b));
    const open = (verdict.unknown || []).map((u) => ({ cause: u.cause, out: false, text: u.lacks }));
    const rows = [...out, ...open].slice(0, 20);
    put(this.all, `all ${rows.length}`);
    this.all.hidden = rows.length < 4;
    keyed(this.chips, rows, (r) => r.cause, (r) => {
      const button = h("button", { type: "button", class: "chip", "aria-expanded": "false" });
      button.addEventListener("click", () => {
        this.open = this.open === r.cause ? "" : r.cause;
        this.showChips(this.last);
      });
      const mark = h("span", { "aria-hidden": "true", class: "x" });
      const words = h("span");
      const state = h("span", { class: "sr" });
      const value = h("span", { class: "num dim" });
      button.append(mark, state, words, value);
      const li = h("li", {}, button);
      li.plParts = { button, mark, words, value, state };
      return li;
    }, (li, r) => {
      const { button, mark, words, value, state } = li.plParts;
      put(mark, r.out ? "✕" : "?");
      put(state, r.out ? "ruled out: " : "not known: ");
      put(words, shortly(r.cause));
      put(value, r.out && r.figure ? figure({ ...r.figure, of: "" }) : "");
      attr(button, "aria-expanded", this.open === r.cause ? "true" : "false");
      button.classList.toggle("open", !r.out);
    });
    this.last = verdict;
    put(this.head, rows.length ? "It is not" : "No cause is looked for while nothing is wrong.");
    const shown = rows.find((r) => r.cause === this.open);
    this.more.hidden = !shown;
    if (shown) put(this.more, `${shown.out ? "Ruled out" : "Not known"}: ${causeTitle(shown.cause)} — ${shown.text}${shown.figure ? ` (${figure(shown.figure)})` : ""}`);
  }
}

/** Changes as a list, the newest first. */
export class Changes {
  constructor(most) {
    this.most = most;
    this.list = h("ol", { class: "changes" });
    this.none = h("p", { class: "dim pad" }, "Nothing changed as far as is known.");
    this.el = h("div", {}, this.list, this.none);
  }

  show(markers, now, most = this.most) {
    const rows = (markers || []).slice(0, most);
    this.none.hidden = rows.length > 0;
    keyed(this.list, rows, (m) => `${m.at_ms} ${m.kind} ${m.subject} ${m.text}`, (m) => {
      const [letter, word] = kindOf(m.kind);
      const age = h("span", { class: "num dim age" });
      const who = m.actor ? h("span", { class: "dim" }, " · ", h("bdi", {}, clean(m.actor, 60))) : null;
      const li = h("li", {},
        h("span", { class: `flag-box f-${m.kind}`, "aria-hidden": "true" }, letter),
        h("div", {}, age,
          h("span", { class: "what" }, h("a", { href: keep("overview", "", { at: String(m.at_ms) }), class: "num", title: "Look at this moment" }, clock(m.at_ms)),
          " ", h("b", {}, word), " ", h("bdi", {}, clean(m.subject, 60))),
          h("span", { class: "text", title: clean(`${m.text}${m.actor ? `, by ${m.actor}` : ""}`, 300) }, clean(m.text, 240), who)));
      li.plAge = age;
      return li;
    }, (li, m) => put(li.plAge, ago(now - m.at_ms)));
  }
}
