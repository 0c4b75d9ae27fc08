// Marks on the words of answers: drawn by the browser's highlights, so that the text of the page stays
// as it is, and made from what somebody selects with the mouse or a finger.

import { gettext } from "../words.js";
import { CHANGED, SHOW, addEvidence, readEvidence } from "./evidence.js";
import { fromPoints, toPoints } from "./spans.js";

// Draws ranges under one of the names in markdown.css; an empty list takes them away. Where a browser
// has no highlights, the list under the rationale still tells what is marked.
export function paint(name, ranges, priority = 0) {
  if (!globalThis.CSS?.highlights) return;
  const highlight = new Highlight(...ranges.filter(Boolean));
  highlight.priority = priority;
  if (ranges.length) CSS.highlights.set(name, highlight);
  else CSS.highlights.delete(name);
}

// The range of an item that is words, null of any other or of what is not there.
export function rangeOf(item, shown) {
  if (item?.kind !== "span" || !shown || !Array.isArray(item.shown)) return null;
  const [start, end] = item.shown.map((count) => fromPoints(shown.text, count));
  return shown.rangeOf(start, end);
}

export class Marks {
  // texts: {a: ShownText, b: ShownText}, or of a set {A, B, C, …}
  constructor(card, texts, form, signal) {
    Object.assign(this, { card, texts, form });
    card.addEventListener(CHANGED, () => this.draw(), { signal });
    card.addEventListener(SHOW, (event) => this.show(event.detail), { signal });
    this.draw();
  }

  // A stretch of an answer becomes evidence.
  add(place, stretch, says) {
    const shown = this.texts[place];
    const { start, end } = shown.widened(stretch);
    const points = [toPoints(shown.text, start), toPoints(shown.text, end)];
    const item = { side: place, kind: "span", shown: points, quote: shown.text.slice(start, end) };
    return addEvidence(this.form, says ? { ...item, says } : item) ? item : null;
  }

  draw() {
    const items = readEvidence(this.form);
    for (const [place, shown] of Object.entries(this.texts)) {
      const ranges = items.filter((item) => item.side === place).map((item) => rangeOf(item, shown));
      paint(`mark-${place}`, ranges.filter(Boolean), 2);
    }
  }

  show({ item, on }) {
    const range = on ? rangeOf(item, this.texts[item?.side]) : null;
    paint("mark-chosen", range ? [range] : [], 3);
    if (range) bringIntoView(range, this.texts[item.side].root);
  }

  clear() {
    for (const name of [...Object.keys(this.texts).map((place) => `mark-${place}`), "mark-chosen"]) paint(name, []);
  }
}

// Scrolls an answer so far that a range is seen, and on a phone the answers so that this one is.
export function bringIntoView(range, root) {
  const body = root.closest(".answer-body");
  const strip = body.closest(".answers");
  if (strip.scrollWidth > strip.clientWidth + 1) strip.scrollTo({ left: body.closest(".answer, .option").offsetLeft - strip.offsetLeft });
  const [inner, outer] = [range.getBoundingClientRect(), body.getBoundingClientRect()];
  const room = Math.min(40, outer.height / 4);
  if (inner.top < outer.top + room) body.scrollTop += inner.top - outer.top - room;
  else if (inner.bottom > outer.bottom - room) body.scrollTop += Math.min(inner.bottom - outer.bottom + room, inner.top - outer.top - room);
}

// The little bar beside what somebody has selected in an answer.
export class SelectionBar {
  constructor(card, texts, marks, signal) {
    Object.assign(this, { card, texts, marks });
    this.bar = document.createElement("div");
    this.bar.className = "mark-bar";
    this.bar.hidden = true;
    this.bar.append(button("", gettext("Mark")), button("good", gettext("✓ good")), button("bad", gettext("✗ bad")));
    card.append(this.bar);
    // a press on the bar must not take the selection away
    this.bar.addEventListener("pointerdown", (event) => event.preventDefault(), { signal });
    this.bar.addEventListener("click", (event) => this.take(event.target.closest("button")?.dataset.says), { signal });
    document.addEventListener("selectionchange", () => this.soon(), { signal });
    card.addEventListener("scroll", () => this.place(), { signal, capture: true, passive: true });
    signal.addEventListener("abort", () => this.bar.remove());
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.place(), 120);
  }

  // {place, stretch, range} of what is selected in an answer, null where nothing is
  selected() {
    const selection = document.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    const begun = selection.anchorNode.parentElement?.closest(".answer, .option")?.dataset.place;
    const stretch = this.texts[begun]?.stretchOf(range);
    return stretch ? { place: begun, stretch, range } : null;
  }

  place() {
    const found = this.selected();
    this.bar.hidden = !found;
    if (!found) return;
    this.bar.dataset.side = found.place;
    const boxes = found.range.getClientRects();
    const last = boxes[boxes.length - 1] ?? found.range.getBoundingClientRect();
    const wide = this.bar.offsetWidth;
    this.bar.style.left = `${Math.max(4, Math.min(last.right - wide / 2, innerWidth - wide - 4))}px`;
    this.bar.style.top = `${Math.max(4, Math.min(last.bottom + 6, innerHeight - this.bar.offsetHeight - 4))}px`;
  }

  // Whether something was selected and is marked now.
  take(says = "") {
    const found = this.selected();
    if (!found) return null;
    const item = this.marks.add(found.place, found.stretch, says);
    document.getSelection().removeAllRanges();
    this.bar.hidden = true;
    return item;
  }
}

function button(says, words) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  made.dataset.says = says;
  return made;
}
