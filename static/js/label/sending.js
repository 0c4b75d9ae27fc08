// Sends what is in the outbox, one after the other and in one tab at a time, until it is empty;
// after a failure again, later and later.

import { gettext } from "../words.js";

const PATIENCE = [1, 2, 4, 8, 15, 30]; // seconds between attempts
const LONGEST_MS = 15000;
const OTHERS_MS = 5000; // between looks at what another page has not sent
const BECAME = "Steelyard-Label"; // the server's word for what became of a verdict

// The page's token may be older than the session: somebody signed in again in another tab.
export function token() {
  const cookie = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  return cookie ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

// options: keepalive where the page is about to close
export function post(address, fields, options = {}) {
  return fetch(address, {
    ...options,
    method: "POST",
    headers: { "X-CSRFToken": token(), "Steelyard-Part": "card" },
    body: new URLSearchParams(fields),
    signal: AbortSignal.timeout(LONGEST_MS),
  });
}

export class Sender {
  // extra: () => [[name, value], …] to send along; answered: ({entry, became, response, text});
  // failed: (words); started: (entry); understood: (response) => what became of it, "" of no answer of ours
  constructor({ outbox, address, answered, failed, extra = () => [], started = () => {}, understood = became }) {
    Object.assign(this, { outbox, address, extra, started, answered, failed, understood });
    this.attempts = 0;
    this.trouble = ""; // what went wrong the last time
    this.now = null; // the UUID on its way
    this.running = null;
    this.timer = null;
  }

  // Resolves when the outbox is empty or an attempt has failed.
  pump() {
    clearTimeout(this.timer);
    this.again = true; // what comes in while the last answer is dealt with is not left lying
    this.running ??= this.alone(() => this.empty()).finally(() => {
      this.running = null;
      if (this.again) this.pump();
    });
    return this.running;
  }

  // Other tabs wait meanwhile, where the browser knows locks.
  alone(work) {
    return navigator.locks ? navigator.locks.request(this.outbox.prefix, work) : work();
  }

  async empty() {
    for (;;) {
      this.again = false;
      const next = await this.outbox.next();
      if (!next) return this.watch();
      this.now = next.uuid;
      const trouble = await this.send(next);
      this.now = null;
      if (trouble) return this.later(trouble);
    }
  }

  // What is left is another page's, which may be closed before it has sent it.
  watch() {
    if (this.outbox.all().length) this.timer = setTimeout(() => this.pump(), OTHERS_MS);
  }

  // "" or what went wrong
  async send(entry) {
    this.started(entry);
    let response;
    let text;
    try {
      response = await post(this.address, [...entry.fields, ...this.extra(entry)]);
      text = await response.text();
    } catch {
      return navigator.onLine ? gettext("the server cannot be reached") : gettext("no connection");
    }
    const outcome = this.understood(response);
    if (!outcome) return reason(response);
    this.attempts = 0;
    this.trouble = "";
    this.outbox.drop(entry.uuid);
    await this.answered({ entry, became: outcome, response, text });
    return "";
  }

  later(words) {
    const wait = PATIENCE[Math.min(this.attempts, PATIENCE.length - 1)];
    this.attempts += 1;
    this.trouble = words;
    this.timer = setTimeout(() => this.pump(), 1000 * wait);
    this.failed(words);
  }
}

function became(response) {
  return response.headers.get(BECAME);
}

export function reason(response) {
  if (response.redirected || response.status === 401) return gettext("you are signed out; sign in in another tab");
  if (response.status === 403) return gettext("the server does not know this page any more; load it again");
  if (response.status === 404) return gettext("this project is closed to you");
  return `${gettext("the server has a problem")} (${response.status})`;
}
