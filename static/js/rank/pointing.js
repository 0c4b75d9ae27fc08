// What the reasons for an order point at, in any answer of the set: words, a box on a picture, a range
// of a clip. The tools are those of the labelling page, whose sides are the letters of the screen here.

import { SHOW, attach, readEvidence } from "../label/evidence.js";
import { Boxes } from "./boxes.js";
import { Ranges } from "./ranges.js";
import { Words } from "./words_marked.js";

const HANDS = { text: Words, image: Boxes, video: Ranges };

export class Pointing {
  // Null where a card takes no evidence.
  static on(card, { board, clips, modality }) {
    const tools = card.querySelector(".rank-tools");
    const form = card.querySelector("form#verdict");
    if (!card.querySelector("[data-evidence]") || !tools) return null;
    return new Pointing({ card, board, clips, tools, form }, HANDS[modality]);
  }

  constructor(desk, Hand) {
    Object.assign(this, desk);
    this.ending = new AbortController();
    this.detach = attach(this.card);
    this.button = this.tools.querySelector("[data-rank-tool=mark]");
    // somebody looks at an item of the list: its answer comes into sight first
    const shown = ({ detail: { item, on } }) => on && this.option(item?.side)?.scrollIntoView({ block: "nearest" });
    this.card.addEventListener(SHOW, shown, { signal: this.ending.signal });
    this.hand = new Hand(this);
  }

  stop() {
    this.hand.stop();
    this.detach();
    this.ending.abort();
    this.say("");
  }

  get signal() {
    return this.ending.signal;
  }

  option(place) {
    return this.board.options.find((option) => option.dataset.place === place);
  }

  // The place of the answer in use, among those given.
  placeIn(places) {
    const place = this.board.focused()?.dataset.place;
    return places.includes(place) ? place : places[0];
  }

  say(words) {
    this.tools.querySelector(".pointing-say").textContent = words;
  }

  mark() {
    this.hand.mark();
  }

  // The button: by a pointer or by a key.
  pressed(byPointer) {
    if (this.hand.pressed) this.hand.pressed(byPointer);
    else this.mark();
  }

  get isBusy() {
    return this.hand.isBusy;
  }

  // A range that has begun, if any.
  get range() {
    return this.hand.isBusy && this.hand.step ? this.hand : null;
  }

  // Whatever is in hand ends: a range here, and is kept; the rest is dropped.
  end() {
    this.hand.end();
  }

  drop() {
    this.hand.drop();
  }

  // The server knows answers by their numbers, whatever letters a screen gave them.
  nameOutputs() {
    const items = readEvidence(this.form).map((item) => ({ ...item, output: Number(this.option(item.side).dataset.output) }));
    this.form.elements.namedItem("evidence").value = JSON.stringify(items);
  }
}
