// The demonstration's panel: a button for each outage, with and without guards,
// and what happened in words. Only a demonstration has it.

import { attr, h, keyed, put, toast } from "./dom.js";
import { get, post, token } from "./net.js";

const ASK_MS = 1000;

/** The panel; it asks by itself for as long as it is on the page. */
export function panel() {
  const list = h("ul", { class: "outages" });
  const stop = h("button", { type: "button", class: "danger", hidden: true, onclick: () => press("") }, "Stop and undo");
  // Read out when it changes; the figures, which change each second, are not.
  const state = h("span", { role: "status" });
  const left = h("span", { class: "num", "aria-hidden": "true" });
  const story = h("dl", { class: "story" });
  const box = h("details", { open: true }, h("summary", {}, "Outages to try"), list, h("p", { class: "dim" }, stop, " ", state, " ", left), story);
  const el = h("section", { class: "panel pad demo", "aria-label": "Outages to try" }, box);
  let shown = null;

  async function press(number, guarded) {
    try {
      // The demonstration's own token is no secret: its server is private and soon gone.
      if (!token() && shown?.token) token(shown.token);
      show(await post("/v1/demo", number ? { number, guarded } : { number: "" }));
    } catch (fault) {
      toast(fault.message);
    }
  }

  const button = (outage, guarded) => {
    const text = guarded ? "with guards" : "without";
    const title = guarded ? outage.done : `${outage.done} ${outage.unguarded}`;
    return h("button", { type: "button", title, "aria-label": `${outage.number}, ${outage.title}, ${text}`, "data-guarded": String(guarded), onclick: () => press(outage.number, guarded) }, text);
  };

  function show(next) {
    shown = next;
    const busy = Boolean(next.running);
    keyed(list, next.outages, (o) => o.number,
      (o) => h("li", {}, h("span", { class: "num" }, o.number), ` ${o.title} `, button(o, true), " ", button(o, false)),
      (li, o) => {
        for (const b of li.querySelectorAll("button")) {
          attr(b, "aria-disabled", busy ? "true" : null);
          attr(b, "aria-pressed", String(next.running === o.number && b.dataset.guarded === String(next.guarded)));
        }
      });
    if (stop.hidden === busy) stop.hidden = !busy;
    const felt = next.told.find(([what]) => what === "What clients felt");
    const idle = felt ? `It is over. ${felt[1]}` : "One at a time; each is undone by itself after 30 s.";
    put(state, busy ? `Outage ${next.running} runs, the guards ${next.guarded ? "act" : "only watch"}.` : idle);
    put(left, busy ? `It is undone by itself in ${next.left_s} s.` : "");
    keyed(story, next.told, ([what]) => what,
      ([what]) => h("div", {}, h("dt", {}, what), h("dd", {})),
      (row, [, text]) => put(row.lastElementChild, text));
  }

  async function ask() {
    if (!document.hidden) await get("/v1/demo").then(show, () => {});
    setTimeout(ask, ASK_MS);
  }
  ask();
  return el;
}
