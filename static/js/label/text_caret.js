// Marking by keys alone: a caret that stands on words of an answer and goes by word, line and
// sentence; with Shift it draws a stretch along. Every step is said aloud.

import { fill, gettext } from "../words.js";
import { bringIntoView, paint } from "./text_marks.js";

const LONGEST_SAID = 120;

export class Caret {
  // texts: {a, b: ShownText}, or {A, B, C, …}; mark(place, stretch, says); say(words); changed(place or null)
  constructor({ texts, mark, say, changed }) {
    Object.assign(this, { texts, mark, say, changed, place: null, stands: {}, anchors: {}, known: new Map() });
    this.listen = (event) => this.key(event);
    this.lost = (event) => this.place && !this.body.contains(event.relatedTarget) && this.leave(false);
  }

  get isOn() {
    return this.place !== null;
  }

  get body() {
    return this.texts[this.place].root.closest(".answer-body");
  }

  get words() {
    return this.#of(this.place).words;
  }

  // What is chosen: from the first letter of its first word to the last of its last.
  get stretch() {
    const [from, to] = [Math.min(this.anchor, this.at), Math.max(this.anchor, this.at)];
    return { start: this.words[from].start, end: this.words[to].end };
  }

  enter(place) {
    if (this.isOn) {
      // what is drawn stays, for when its answer is come back to
      const drawn = { ...this.anchors, [this.place]: this.anchor };
      this.leave(false);
      this.anchors = drawn;
    }
    if (!this.#of(place).words.length) return this.say(gettext("There are no words to mark."));
    this.place = place;
    this.at = this.stands[place] ?? this.firstInSight();
    this.anchor = this.anchors[place] ?? this.at;
    this.body.setAttribute("role", "application"); // a screen reader hands the arrows over
    this.body.focus({ preventScroll: true });
    document.addEventListener("keydown", this.listen, { capture: true });
    this.body.addEventListener("focusout", this.lost);
    this.draw();
    this.changed(place);
    this.say(fill(gettext("Marking in answer %(side)s. %(word)s"), { side: place.toUpperCase(), word: this.text() }));
  }

  leave(said = true) {
    if (!this.isOn) return;
    document.removeEventListener("keydown", this.listen, { capture: true });
    this.body.removeEventListener("focusout", this.lost);
    this.body.setAttribute("role", "region");
    this.stands[this.place] = this.at;
    this.place = null;
    this.anchors = {};
    for (const name of ["mark-caret", "mark-chosen"]) paint(name, []);
    this.changed(null);
    if (said) this.say(gettext("Marking left."));
  }

  key(event) {
    if (event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.ctrlKey && event.key === "Enter") return this.leave(false); // and the verdict goes
    const todo = this.todo(event);
    const writes = event.key.length === 1 && !event.ctrlKey;
    if (!todo && !writes) return;
    event.preventDefault(); // a letter that means nothing here means nothing elsewhere meanwhile
    event.stopPropagation();
    todo?.();
  }

  todo(event) {
    const forward = this.isRightToLeft() ? -1 : 1;
    const step = event.ctrlKey ? (by) => this.bySentence(by, event.shiftKey) : (by) => this.at + by;
    const go = (target) => () => this.go(target(), event.shiftKey);
    const side = (place) => () => place !== this.place && this.enter(place);
    const places = Object.keys(this.texts);
    const other = places[(places.indexOf(this.place) + 1) % places.length];
    const called = places.flatMap((place) => {
      const letter = place.toLowerCase();
      return [letter, "abcdefghi".indexOf(letter) + 1].map((name) => [name, side(place)]);
    });
    const ways = {
      ArrowLeft: go(() => step(-forward)),
      ArrowRight: go(() => step(forward)),
      ArrowUp: go(() => this.byLine(-1)),
      ArrowDown: go(() => this.byLine(1)),
      Home: go(() => 0),
      End: go(() => this.words.length - 1),
      Enter: () => this.take(),
      "+": () => this.take("good"),
      "-": () => this.take("bad"),
      Escape: () => this.leave(),
      ...Object.fromEntries(called),
      ...(places.length > 1 && { Tab: side(other) }),
    };
    return ways[event.key];
  }

  go(target, extending) {
    this.at = Math.max(0, Math.min(this.words.length - 1, target));
    if (!extending) this.anchor = this.at;
    this.draw();
    this.say(extending ? fill(gettext("Chosen: %(words)s"), { words: this.text() }) : this.text());
  }

  take(says) {
    const { place, stretch } = this;
    this.leave(false);
    this.mark(place, stretch, says);
  }

  text() {
    const words = this.texts[this.place].text.slice(this.stretch.start, this.stretch.end);
    return words.length > LONGEST_SAID ? `${words.slice(0, 40)} … ${words.slice(-60)}` : words;
  }

  draw() {
    const shown = this.texts[this.place];
    const range = (stretch) => shown.rangeOf(stretch.start, stretch.end);
    const caret = range(this.words[this.at]);
    paint("mark-chosen", this.at === this.anchor ? [] : [range(this.stretch)], 4);
    paint("mark-caret", [caret], 5);
    bringIntoView(caret, shown.root);
  }

  // ---- ways ----
  boxOf(word) {
    const { start, end } = this.words[word];
    return this.texts[this.place].rangeOf(start, end).getBoundingClientRect();
  }

  isRightToLeft() {
    const { start, end } = this.words[this.at];
    const text = this.texts[this.place].text.slice(start, end);
    return /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u.test(text);
  }

  firstInSight() {
    const top = this.body.getBoundingClientRect().top;
    const found = this.words.findIndex((_, word) => this.boxOf(word).bottom > top + 4);
    return Math.max(0, found);
  }

  // The word above or below: the nearest one of the next line that there is.
  byLine(by) {
    const from = this.boxOf(this.at);
    const middle = (from.left + from.right) / 2;
    const isBeyond = (box, edge) => (by > 0 ? box.top >= edge.bottom - 3 : box.bottom <= edge.top + 3);
    let [best, line] = [null, null];
    for (let word = this.at + by; word >= 0 && word < this.words.length; word += by) {
      const box = this.boxOf(word);
      if (!line && !isBeyond(box, from)) continue;
      line ??= box;
      if (isBeyond(box, line)) break;
      const away = Math.abs((box.left + box.right) / 2 - middle);
      if (!best || away < best.away) best = { word, away };
    }
    return best?.word ?? (by > 0 ? this.words.length - 1 : 0);
  }

  // The next sentence's first word; drawing along, the end of this one first.
  bySentence(by, extending) {
    const { words } = this;
    const here = words[this.at].sentence;
    const same = (word) => words[word]?.sentence === words[this.at].sentence;
    if (!extending && by > 0) return orLast(words.findIndex((word) => word.sentence > here), words);
    if (by > 0) {
      let target = same(this.at + 1) ? this.at : this.at + 1;
      while (words[target + 1] && words[target + 1].sentence === words[target].sentence) target += 1;
      return target;
    }
    let target = same(this.at - 1) ? this.at : this.at - 1;
    while (target > 0 && words[target - 1].sentence === words[target].sentence) target -= 1;
    return target;
  }

  #of(place) {
    if (!this.known.has(place)) this.known.set(place, { words: wordsOf(this.texts[place]) });
    return this.known.get(place);
  }
}

function orLast(index, words) {
  return index < 0 ? words.length - 1 : index;
}

// [{start, end, sentence}] of a text; a formula is one word.
function wordsOf(shown) {
  const language = document.documentElement.lang || "en";
  const ends = [...new Intl.Segmenter(language, { granularity: "sentence" }).segment(shown.text)].map(
    (sentence) => sentence.index + sentence.segment.length,
  );
  const found = [];
  let sentence = 0;
  for (const part of new Intl.Segmenter(language, { granularity: "word" }).segment(shown.text)) {
    const wide = shown.widened({ start: part.index, end: part.index + part.segment.length });
    if (!part.isWordLike && wide.end - wide.start === part.segment.length && !/[^\s\p{P}]/u.test(part.segment)) continue;
    while (ends[sentence] <= part.index) sentence += 1;
    if (found.at(-1)?.start !== wide.start) found.push({ ...wide, sentence });
  }
  return found;
}
