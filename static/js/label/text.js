// The tools of text answers: words marked as evidence, differences, both scrolled together, formulas.

import { fill, gettext } from "../words.js";
import { addActions } from "./actions.js";
import { showLegend } from "./key_list.js";
import { renderMath } from "./math.js";
import { ShownText } from "./spans.js";
import { Caret } from "./text_caret.js";
import { clearDifferences, markDifferences } from "./text_differences.js";
import { Marks, SelectionBar } from "./text_marks.js";

const wanted = { differences: false, lock: false }; // stays as it was from card to card
let current = null; // the card before the annotator, if it has texts

// Called for each card that comes up, of any modality; returns what takes its listeners away again.
export function attach(card) {
  renderMath(card);
  showLastTurn(card);
  const tools = card.querySelector(".text-tools");
  const texts = textsOf(card);
  if (!tools || !Object.keys(texts).length) return () => {};
  const mine = new Desk(card, tools, texts);
  current = mine;
  return () => {
    mine.stop();
    if (current === mine) current = null;
  };
}

// Of a long conversation what was asked last, which is what was answered.
function showLastTurn(card) {
  const body = card.querySelector(".prompt-body");
  const turns = card.querySelectorAll(".prompt-body > .said");
  if (turns.length < 2 || body.scrollHeight <= body.clientHeight) return;
  const last = turns[turns.length - 1];
  body.scrollTop += last.getBoundingClientRect().top - body.getBoundingClientRect().top;
}

function textsOf(card) {
  const roots = [...card.querySelectorAll(".answer .answer-text")];
  return Object.fromEntries(roots.map((root) => [root.closest(".answer").dataset.place, new ShownText(root)]));
}

class Desk {
  constructor(card, tools, texts) {
    Object.assign(this, { card, tools, texts, ending: new AbortController() });
    const { signal } = this.ending;
    this.bodies = [...card.querySelectorAll(".answer-body")];
    if (card.querySelector("[data-evidence]")) this.wireMarks(card.querySelector("form#verdict"), signal);
    tools.addEventListener("click", (event) => this.click(event), { signal });
    for (const body of this.bodies) body.addEventListener("scroll", () => this.follow(body), { signal, passive: true });
    for (const name of ["differences", "lock"]) if (!this.hasBoth) this.button(name).hidden = true;
    tools.hidden = false;
    this.button("lock").setAttribute("aria-pressed", wanted.lock);
    if (wanted.differences) this.differences(true);
  }

  wireMarks(form, signal) {
    this.marks = new Marks(this.card, this.texts, form, signal);
    this.bar = new SelectionBar(this.card, this.texts, this.marks, signal);
    const mark = (place, stretch, says) => this.told(this.marks.add(place, stretch, says));
    const changed = (place) => this.hint(place);
    this.caret = new Caret({ texts: this.texts, mark, say: (words) => this.say(words), changed });
  }

  stop() {
    this.caret?.leave(false);
    this.ending.abort();
    this.marks?.clear();
    clearDifferences();
  }

  get hasBoth() {
    return Boolean(this.texts.a && this.texts.b);
  }

  button(name) {
    return this.tools.querySelector(`[data-tool="${name}"]`);
  }

  say(words) {
    this.tools.querySelector(".text-say").textContent = words;
  }

  click(event) {
    const name = event.target.closest("button")?.dataset.tool;
    if (name) this[name]();
  }

  // ---- evidence ----
  mark() {
    if (this.caret.isOn) return this.caret.leave();
    const item = this.bar.take();
    return item ? this.told(item) : this.caret.enter(this.sideInUse());
  }

  told(item) {
    if (item) this.say(fill(gettext("Marked in %(side)s: %(quote)s"), { side: item.side.toUpperCase(), quote: item.quote }));
  }

  // The answer that has the focus, else the one that a phone shows, else the first.
  sideInUse() {
    const focused = document.activeElement?.closest?.(".answer")?.dataset.place;
    if (this.texts[focused]) return (this.last = focused);
    const strip = this.card.querySelector(".answers");
    if (strip.scrollWidth > strip.clientWidth + 1) return strip.scrollLeft > strip.clientWidth / 2 && this.texts.b ? "b" : "a";
    return this.texts[this.last] ? this.last : Object.keys(this.texts)[0];
  }

  hint(place) {
    if (place) this.last = place;
    const hint = this.tools.querySelector(".mark-hint");
    hint.hidden = !place;
    this.button("mark").setAttribute("aria-pressed", Boolean(place));
    showLegend();
    if (!place) return;
    const words = fill(gettext("Marking in %(side)s:"), { side: place.toUpperCase() });
    const strong = hint.querySelector("[data-marking]");
    Object.assign(strong, { textContent: words, className: `side-${place}` });
  }

  // ---- both answers ----
  async differences(on = !wanted.differences) {
    wanted.differences = on;
    this.button("differences").setAttribute("aria-pressed", on);
    const place = this.tools.querySelector(".differs");
    place.textContent = "";
    clearDifferences();
    if (!on) return this.say(gettext("Differences are no longer marked."));
    let found;
    try {
      found = await markDifferences(this.texts);
    } catch {
      found = { words: gettext("The differences cannot be fetched at this moment.") };
    }
    if (this.ending.signal.aborted || !wanted.differences) return clearDifferences();
    place.textContent = found.words;
    return this.say(found.words);
  }

  lock() {
    wanted.lock = !wanted.lock;
    this.button("lock").setAttribute("aria-pressed", wanted.lock);
    this.say(wanted.lock ? gettext("Both answers scroll together.") : gettext("Each answer scrolls by itself."));
    if (wanted.lock) this.follow(this.bodies[0]);
  }

  // The other answer as far down its length as this one. What it is moved by here is not followed.
  follow(body) {
    const other = this.bodies.find((each) => each !== body);
    if (!wanted.lock || !other) return;
    if (this.moved === body) {
      this.moved = null;
      return;
    }
    const length = (each) => each.scrollHeight - each.clientHeight;
    if (length(body) <= 0 || length(other) <= 0) return;
    const target = Math.round((body.scrollTop / length(body)) * length(other));
    if (Math.abs(target - other.scrollTop) < 1) return;
    this.moved = other;
    other.scrollTop = target;
  }
}

const action = (id, key, label, run, when) => {
  const able = () => Boolean(current && when(current));
  return { id: `text-${id}`, key, label, has: able, when: able, run: () => run(current), once: true };
};

addActions(gettext("Texts"), [
  action("differences", "d", gettext("differences: mark the words that differ"), (it) => it.differences(), (it) => it.hasBoth),
  action("lock", "l", gettext("scroll both answers together"), (it) => it.lock(), (it) => it.hasBoth),
  action("mark", "e", gettext("mark what is selected as evidence, or choose words by keys"), (it) => it.mark(), (it) => Boolean(it.caret)),
  { id: "text-other", key: "Tab", label: gettext("while marking: the other side; a and b: that side"), legend: gettext("other side"), has: () => Boolean(current?.caret && current.hasBoth), fixed: true, when: () => Boolean(current?.caret?.isOn && current.hasBoth), run: () => current.caret.enter(current.caret.place === "a" ? "b" : "a") },
]);
