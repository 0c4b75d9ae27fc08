// Words of a set's answers as evidence: selected with the mouse or a finger, or by a caret and keys.

import { fill, gettext } from "../words.js";
import { ShownText } from "../label/spans.js";
import { Caret } from "../label/text_caret.js";
import { Marks, SelectionBar } from "../label/text_marks.js";

export class Words {
  isBusy = false; // the caret takes its keys by itself

  constructor(desk) {
    const { card, board, form, signal } = desk;
    this.desk = desk;
    const roots = board.options.map((option) => [option.dataset.place, option.querySelector(".answer-text")]);
    this.texts = Object.fromEntries(roots.filter(([, root]) => root).map(([place, root]) => [place, new ShownText(root)]));
    this.marks = new Marks(card, this.texts, form, signal);
    this.bar = new SelectionBar(card, this.texts, this.marks, signal);
    const mark = (place, stretch, says) => this.told(this.marks.add(place, stretch, says));
    this.caret = new Caret({ texts: this.texts, mark, say: (words) => desk.say(words), changed: (place) => this.hint(place) });
  }

  stop() {
    this.end();
    this.marks.clear();
  }

  mark() {
    if (this.caret.isOn) return this.caret.leave();
    const item = this.bar.take();
    const places = Object.keys(this.texts);
    return item ? this.told(item) : places.length && this.caret.enter(this.desk.placeIn(places));
  }

  told(item) {
    if (item) this.desk.say(fill(gettext("Marked in %(side)s: %(quote)s"), { side: item.side, quote: item.quote }));
  }

  hint(place) {
    const hint = this.desk.tools.querySelector(".mark-hint");
    hint.hidden = !place;
    this.desk.button.setAttribute("aria-pressed", Boolean(place));
    if (!place) return;
    this.desk.option(place).scrollIntoView({ block: "nearest" });
    hint.querySelector("[data-marking]").textContent = fill(gettext("Marking in %(side)s:"), { side: place });
  }

  end() {
    this.caret.leave(false);
  }

  drop() {
    this.end();
  }
}
