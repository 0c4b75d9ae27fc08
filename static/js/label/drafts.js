// What is written of a verdict before it is handed in: kept in the browser at every change and at
// the server every few seconds, with the leases of the pairs that the page has.

import { putInto, saidIn } from "./fields.js";
import { post } from "./sending.js";

const SOON_MS = 300;
const SERVER_MS = 5000;
const OLD_MS = 7 * 24 * 3600 * 1000;

export class Drafts {
  // holding: () => numbers of pairs; lost: (numbers of those no longer held)
  constructor({ project, annotator, address, leaseSeconds, holding, lost }) {
    this.prefix = `steelyard.draft.${project}.${annotator}.`;
    Object.assign(this, { address, holding, lost });
    this.renewMs = (1000 * leaseSeconds) / 3;
    this.renewed = Date.now();
    this.unsent = null; // the pair's draft that the server has not got
    document.addEventListener("input", (event) => this.changed(event));
    document.addEventListener("change", (event) => this.changed(event));
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("pagehide", () => this.write());
    setInterval(() => this.look(), SERVER_MS);
    this.forgetOld();
  }

  changed(event) {
    const form = event.target.form;
    if (form?.id !== "verdict" || !form.elements.namedItem("pair")) return;
    clearTimeout(this.timer);
    this.form = form;
    this.timer = setTimeout(() => this.write(), SOON_MS);
  }

  write() {
    clearTimeout(this.timer);
    if (!this.form) return;
    const draft = { at: Date.now(), fields: saidIn(this.form) };
    const text = JSON.stringify(draft);
    try {
      localStorage.setItem(this.prefix + nameOf(this.form), text);
    } catch {
      // the server's copy has to do
    }
    const of = this.form.closest("#card[data-kind=pair]")?.dataset.pair;
    if (of) this.unsent = { of, text };
    this.form = null;
  }

  // The newer of the two drafts of the card's pair goes into its form.
  restore(form) {
    const drafts = [form.dataset.draft, this.read(this.prefix + nameOf(form))].map(parsed).filter(Boolean);
    const newest = drafts.sort((one, other) => other.at - one.at)[0];
    if (newest) putInto(form, newest.fields);
  }

  read(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  drop(form) {
    clearTimeout(this.timer);
    this.form = null;
    if (this.unsent?.of === form.dataset.pair) this.unsent = null;
    try {
      localStorage.removeItem(this.prefix + nameOf(form));
    } catch {
      // it was never there
    }
  }

  forgetOld() {
    try {
      for (const key of Object.keys(localStorage).filter((key) => key.startsWith(this.prefix))) {
        if (Date.now() - (parsed(localStorage.getItem(key))?.at ?? 0) > OLD_MS) localStorage.removeItem(key);
      }
    } catch {
      // there is no storage
    }
  }

  // Every few seconds: is there something to tell the server?
  async look() {
    if (document.visibilityState !== "visible" || this.asking) return;
    const due = Date.now() - this.renewed >= this.renewMs;
    const pairs = this.holding();
    if (!pairs.length || !(due || this.unsent)) return;
    const draft = this.unsent;
    this.unsent = null;
    this.asking = true;
    try {
      const fields = [["pairs", pairs.join(",")]];
      if (draft) fields.push(["draft", draft.text], ["draft_of", draft.of]);
      const response = await post(this.address, fields);
      if (!response.ok || response.redirected) throw new Error(response.status);
      const { held } = await response.json();
      this.renewed = Date.now();
      this.lost(pairs.filter((pair) => !held.includes(Number(pair))));
    } catch {
      this.unsent ??= draft; // no connection: later
    } finally {
      this.asking = false;
    }
  }
}

function nameOf(form) {
  return [form.dataset.pair, form.elements.namedItem("supersedes").value].filter(Boolean).join(".");
}

function parsed(text) {
  try {
    const draft = JSON.parse(text);
    return Array.isArray(draft?.fields) ? draft : null;
  } catch {
    return null;
  }
}
