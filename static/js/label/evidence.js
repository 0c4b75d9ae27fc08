// What the rationale points at: a list that lives in the form's hidden field, so that drafts, the
// outbox and a refused form carry it like any other field. Places are those of the screen, a and b.
// The list under the rationale shows every kind of it: words, boxes, ranges of a clip.

import { fill, gettext } from "../words.js";

export const CHANGED = "evidence:change"; // the list is another
export const SHOW = "evidence:show"; // somebody wants to see an item: detail {item, index, on}
export const MOST = 50;

const NEXT = { good: "bad", bad: undefined };
const QUOTED = 60; // letters of a quote that the list shows

const field = (form) => form?.elements.namedItem("evidence");

export function readEvidence(form) {
  try {
    const items = JSON.parse(field(form)?.value || "[]");
    return Array.isArray(items) ? items : [];
  } catch {
    return [];
  }
}

export function writeEvidence(form, items) {
  field(form).value = JSON.stringify(items);
  field(form).dispatchEvent(new Event("input", { bubbles: true }));
  field(form).dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
}

// Whether there was room for it.
export function addEvidence(form, item) {
  const items = readEvidence(form);
  if (items.length >= MOST) {
    say(form, fill(gettext("No more than %(most)s pieces of evidence."), { most: MOST }));
    return false;
  }
  writeEvidence(form, [...items, item]);
  return true;
}

export function removeEvidence(form, index) {
  writeEvidence(form, readEvidence(form).filter((_, at) => at !== index));
}

// Called for each card that comes up; returns what takes its listeners away again.
export function attach(card) {
  const list = card.querySelector("[data-evidence]");
  const form = list?.closest("form");
  if (!form) return () => {};
  const ending = new AbortController();
  new Chips(list, form, ending.signal);
  return () => ending.abort();
}

function say(form, words) {
  const place = form.querySelector(".evidence-say");
  if (place) place.textContent = words;
}

class Chips {
  constructor(list, form, signal) {
    Object.assign(this, { list, form, rows: list.querySelector("[data-chips]") });
    list.hidden = false;
    form.addEventListener(CHANGED, () => this.writing || this.draw(), { signal });
    this.rows.addEventListener("click", (event) => this.click(event), { signal });
    this.rows.addEventListener("input", (event) => this.note(event), { signal });
    this.rows.addEventListener("keydown", (event) => this.key(event), { signal });
    for (const name of ["focusin", "focusout"]) {
      this.rows.addEventListener(name, (event) => this.point(event, name === "focusin"), { signal });
    }
    this.draw();
  }

  // The rows anew, with the focus where it was.
  draw() {
    const held = this.rows.contains(document.activeElement) ? document.activeElement : null;
    const row = held && [...this.rows.children].indexOf(held.closest("li"));
    this.rows.replaceChildren(...readEvidence(this.form).map((item, index) => this.row(item, index)));
    this.list.querySelector("[data-none]").hidden = this.rows.children.length > 0;
    if (held) this.focus(row, held.dataset.do);
  }

  focus(row, part) {
    const rows = this.rows.children;
    const near = rows[Math.min(row, rows.length - 1)];
    if (near) near.querySelector(part ? `[data-do="${part}"]` : "input").focus();
    else this.form.querySelector("textarea")?.focus();
  }

  row(item, index) {
    const row = this.list.querySelector("template").content.firstElementChild.cloneNode(true);
    const [what, says, note, off] = row.children;
    const name = `${index + 1}`;
    row.dataset.side = item.side;
    what.append(part("b", item.side.toUpperCase(), `side-${item.side}`), ": ", ...words(item));
    what.setAttribute("aria-label", fill(gettext("Evidence %(nth)s: %(what)s"), { nth: name, what: what.textContent }));
    says.dataset.says = item.says ?? "";
    says.textContent = { good: gettext("✓ good"), bad: gettext("✗ bad") }[item.says] ?? gettext("good or bad?");
    const said = { good: gettext("good"), bad: gettext("bad") }[item.says] ?? gettext("not said");
    says.setAttribute("aria-label", fill(gettext("Good or bad: %(says)s"), { says: said }));
    note.value = item.note ?? "";
    note.setAttribute("aria-label", fill(gettext("Note on evidence %(nth)s"), { nth: name }));
    off.setAttribute("aria-label", fill(gettext("Remove evidence %(nth)s"), { nth: name }));
    return row;
  }

  indexOf(target) {
    return [...this.rows.children].indexOf(target.closest("li"));
  }

  change(index, values) {
    writeEvidence(this.form, readEvidence(this.form).map((item, at) => (at === index ? { ...item, ...values } : item)));
  }

  click(event) {
    const index = this.indexOf(event.target);
    const todo = event.target.closest("[data-do]")?.dataset.do;
    if (todo === "remove") this.remove(index);
    if (todo === "says") this.judge(index, (says) => (says in NEXT ? NEXT[says] : "good"));
    if (todo === "show") this.show(index, true);
  }

  judge(index, next) {
    const item = readEvidence(this.form)[index];
    if (item) this.change(index, { says: next(item.says) });
  }

  remove(index) {
    removeEvidence(this.form, index);
    this.focus(index, "show");
    say(this.form, gettext("Removed."));
  }

  note(event) {
    this.writing = true; // the rows stay as they are
    this.change(this.indexOf(event.target), { note: event.target.value.slice(0, 500) || undefined });
    this.writing = false;
  }

  key(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.indexOf(target);
    const row = this.rows.children[index];
    const todo = target.matches("input") ? fromNote(row)[key] : this.fromRow(row, index)[key];
    if (!todo) return;
    event.preventDefault();
    event.stopPropagation();
    todo();
  }

  fromRow(row, index) {
    const say = (says) => () => this.judge(index, (before) => (before === says ? undefined : says));
    const off = () => this.remove(index);
    const to = (by) => () => this.rows.children[index + by]?.querySelector("[data-do=show]").focus();
    return { Delete: off, Backspace: off, "+": say("good"), "-": say("bad"), ArrowUp: to(-1), ArrowDown: to(1) };
  }

  point(event, on) {
    if (on || !this.rows.contains(event.relatedTarget)) this.show(this.indexOf(event.target), on);
  }

  show(index, on) {
    const item = readEvidence(this.form)[index];
    this.list.dispatchEvent(new CustomEvent(SHOW, { bubbles: true, detail: { item, index, on } }));
  }
}

function fromNote(row) {
  const back = () => row.querySelector("[data-do=show]").focus();
  return { Enter: back, Escape: back };
}

// An item in words, as nodes.
function words(item) {
  if (item.kind === "span") {
    const quote = part("q", item.quote.length > QUOTED ? `${item.quote.slice(0, QUOTED).trimEnd()}…` : item.quote);
    quote.dir = "auto";
    return [quote];
  }
  if (item.kind === "time") return [fill(gettext("%(start)s–%(end)s s"), { start: seconds(item.start), end: seconds(item.end) })];
  return [item.at === undefined ? gettext("box") : fill(gettext("box at %(at)s s"), { at: seconds(item.at) })];
}

const seconds = (value) => Number(value).toFixed(1);

function part(name, text, className = "") {
  return Object.assign(document.createElement(name), { textContent: text, className });
}
