// The pooler's API: requests, the token, and the stream of seconds.

const ANSWER_MS = 15_000;
/** The stream says something at least every 15 s. */
const SILENCE_MS = 20_000;
const BUFFER_MAX = 8 << 20;
const POLL_MS = 2_000;
const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
const KEY = "plimsoll.token";

/** Why an answer is not there: a status (0: nobody answered), lines, what helps. */
export class Fault extends Error {
  constructor(status, lines, help) {
    super(lines[0] || `status ${status}`);
    Object.assign(this, { status, lines, help: help || "" });
  }
}

let memory = "";
export function token(value) {
  try {
    if (value === undefined) return sessionStorage.getItem(KEY) || memory;
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Then it lives as long as the page.
  }
  if (value !== undefined) memory = value;
  return memory;
}

const heads = (more) => (token() ? { ...more, Authorization: `Bearer ${token()}` } : more);

async function faultOf(answer) {
  let said = {};
  try {
    said = JSON.parse((await answer.text()).slice(0, 65536));
  } catch {
    // A proxy in between may answer in its own way.
  }
  const lines = Array.isArray(said?.lines) && said.lines.length ? said.lines.map(String) : [`the pooler answered ${answer.status}`];
  return new Fault(answer.status, lines, typeof said?.help === "string" ? said.help : "");
}

async function ask(path, options, read) {
  const limit = AbortSignal.timeout(ANSWER_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let answer;
  try {
    answer = await fetch(path, { ...options, signal, headers: heads(options.headers || {}), cache: "no-store", credentials: "omit", redirect: "error" });
    if (answer.ok) return await read(answer);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Fault(0, [limit.aborted ? "the pooler did not answer in 15 s" : "the pooler cannot be reached"], "");
  }
  throw await faultOf(answer);
}

export const get = (path, signal) => ask(path, { signal }, (answer) => answer.json());
export const getText = (path, signal) => ask(path, { signal }, (answer) => answer.text());
export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }, async (answer) => {
    const text = await answer.text();
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  });

/** A path with parameters; those without a value are left out. */
export function query(path, values) {
  const found = Object.entries(values).filter(([, v]) => v != null && v !== "");
  const text = found.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");
  return text ? `${path}?${text}` : path;
}

/**
 * The pooler's clock. Ages are never taken from this machine's clock: it only
 * counts on from the last moment that was heard.
 */
export const heard = { at_ms: 0, here: 0 };
export const heardMs = () => (heard.here ? performance.now() - heard.here : 0);
export const serverNow = () => (heard.at_ms ? heard.at_ms + heardMs() : 0);
function hear(live) {
  heard.at_ms = live.at_ms;
  heard.here = performance.now();
}

/** The newest second; the first one was asked for before this was loaded. */
async function newest(signal) {
  const first = window.plimsollFirst;
  window.plimsollFirst = null;
  const answer = first && (await first.catch(() => null));
  return answer?.ok ? answer.json() : get("/v1/live", signal);
}

/** Follows the seconds for as long as it is not stopped; comes again by itself. */
export class Stream {
  constructor(onlive, onstate) {
    Object.assign(this, { onlive, onstate, tries: 0, polling: false, control: null, timer: 0 });
  }

  start() {
    this.stop();
    this.control = new AbortController();
    this.run(this.control.signal);
  }

  stop() {
    this.control?.abort();
    this.control = null;
    clearTimeout(this.timer);
  }

  async run(signal) {
    while (!signal.aborted) {
      let fault = null;
      try {
        const live = await newest(signal);
        this.take(live, signal);
        await this.read(signal);
      } catch (error) {
        fault = error;
      }
      if (signal.aborted) return;
      if (fault?.status === 401 || fault?.status === 403) return this.onstate("refused", fault);
      // A stream that ended is taken up again, but not in a tight loop.
      let pause = 300;
      if (fault?.status === 503 && this.tries === 0 && heard.here) {
        // All streams are taken: asking now and then is nearly as good.
        this.polling = true;
        this.onstate("polling", fault);
        pause = POLL_MS;
      } else if (fault) {
        pause = BACK_OFF_MS[Math.min(this.tries, BACK_OFF_MS.length - 1)] * (0.8 + Math.random() * 0.4);
        this.tries += 1;
        this.onstate("lost", fault, pause);
      }
      await new Promise((done) => (this.timer = setTimeout(done, pause)));
    }
  }

  take(live, signal) {
    if (signal.aborted || !live || typeof live.at_ms !== "number") return;
    this.tries = 0;
    hear(live);
    this.onstate(this.polling ? "polling" : "live");
    this.onlive(live);
  }

  async read(signal) {
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), SILENCE_MS);
    try {
      const answer = await fetch("/v1/live/stream", {
        signal: AbortSignal.any([signal, quiet.signal]),
        headers: heads({ Accept: "text/event-stream" }),
        cache: "no-store", credentials: "omit", redirect: "error",
      });
      if (!answer.ok) throw await faultOf(answer);
      this.polling = false;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => quiet.abort(), SILENCE_MS);
        buffer += value;
        for (let end; (end = buffer.indexOf("\n\n")) >= 0; buffer = buffer.slice(end + 2)) {
          const live = eventOf(buffer.slice(0, end));
          if (live) this.take(live, signal);
          else heard.here &&= this.stillHere();
        }
        if (buffer.length > BUFFER_MAX) throw new Fault(0, ["the stream sends too much"], "");
      }
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw new Fault(0, [quiet.signal.aborted ? "the pooler has said nothing for 20 s" : "the connection broke"], "");
    } finally {
      clearTimeout(timer);
      quiet.abort();
    }
  }

  /** A sign of life without news: the clock goes on, nothing is stale. */
  stillHere() {
    heard.at_ms += performance.now() - heard.here;
    this.onstate("live");
    return performance.now();
  }
}

function eventOf(text) {
  let kind = "message";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5));
  }
  return kind === "live" && data.length ? JSON.parse(data.join("\n")) : null;
}
