// Drawing an evidence box: with the mouse or a finger on either picture, or with the keys from a box
// that begins in the middle of the side in use.

import { fill, gettext } from "../words.js";
import { MOST, addEvidence, readEvidence } from "./evidence.js";
import { boxBetween, isBox, moved, placeBox, resized, rounding } from "./image_boxes.js";
import { showLegend } from "./key_list.js";
import { DIRECTIONS, make } from "./image_stage.js";

const SIDES = ["a", "b"];
const STEP = 0.02; // of what is seen of the picture

export class BoxTool {
  // host: {sheet(side) the sheet in sight, seen(side) the part of it in sight, sideAt(target, point),
  //        fraction(target, point, side), side() in use, whole(side | null) shows all of a side,
  //        rest(side) takes the focus; where there are other than two sides, places: all of them}
  constructor({ card, form, button, say, host }) {
    Object.assign(this, { card, form, button, say, host });
    this.isOn = false;
    this.draft = null; // {side, box, element}
  }

  // The key: the first time a box in the middle, then the same box on the other side.
  key() {
    const other = this.draft && this.next;
    const side = other && this.host.sheet(other) ? other : (this.draft?.side ?? this.host.side());
    this.on();
    if (this.isOn) this.begin(side, this.draft?.box);
  }

  get places() {
    return this.host.places ?? SIDES;
  }

  // The side after the one that is drawn on.
  get next() {
    return this.places[(this.places.indexOf(this.draft.side) + 1) % this.places.length];
  }

  // The same box on that side, or on the other one.
  turn(to = this.next) {
    if (to !== this.draft.side && this.host.sheet(to)) this.begin(to, this.draft.box);
  }

  // The button: by a pointer it only makes ready to draw; by the keyboard it is as the key.
  click(byPointer) {
    if (this.isOn) return this.off(gettext("No box."));
    if (!byPointer) return this.key();
    this.on();
    if (this.isOn) this.say(gettext("Drag over a picture to draw a box."));
  }

  on() {
    if (readEvidence(this.form).length >= MOST) {
      return this.say(fill(gettext("No more than %(most)s pieces of evidence."), { most: MOST }));
    }
    this.set(true);
  }

  off(words = "") {
    this.drop();
    this.set(false);
    this.say(words);
  }

  set(on) {
    this.isOn = on;
    this.button.setAttribute("aria-pressed", on);
    this.card.toggleAttribute("data-drawing", on);
    showLegend();
  }

  // ---- by the keyboard ----
  begin(side, kept = null) {
    this.drop();
    this.host.whole(side);
    const seen = this.host.seen(side);
    const box = kept ?? rounding({
      x: seen.x + seen.width / 3,
      y: seen.y + seen.height / 3,
      width: seen.width / 3,
      height: seen.height / 3,
    });
    const element = make("div", "evidence-box draft", {
      role: "application",
      tabindex: "0",
      "aria-label": fill(gettext("Box on %(side)s"), { side: side.toUpperCase() }),
      "data-side": side,
    });
    element.addEventListener("keydown", (event) => this.press(event));
    element.addEventListener("focusout", () => this.left(element));
    this.draft = { side, box, element, step: STEP * Math.min(seen.width, seen.height) };
    this.host.sheet(side).append(element);
    this.show();
    element.focus({ preventScroll: true });
    showLegend();
  }

  show() {
    placeBox(this.draft.element, this.draft.box);
    const keys = gettext("Arrows move, Shift and arrows resize, Tab or a, b: the side, Enter keeps, Esc drops.");
    this.say(`${words(this.draft.side, this.draft.box)}. ${keys}`);
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const direction = DIRECTIONS[event.key];
    if (direction) {
      const change = event.shiftKey ? resized : moved;
      const [dx, dy] = direction.map((way) => way * this.draft.step);
      this.draft.box = change(this.draft.box, dx, dy);
      this.show();
    } else if (event.key === "Tab") this.turn();
    else if (this.called(event.key)) this.turn(this.called(event.key));
    else if (event.key === "Enter") this.keep(this.draft.side, this.draft.box);
    else if (event.key === "Escape") this.off(gettext("Box dropped."));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The side of that letter.
  called(key) {
    return this.places.find((place) => place.toLowerCase() === key);
  }

  // Gone elsewhere in the page, and not only to another window.
  left(element) {
    if (this.draft?.element === element && document.hasFocus()) this.off(gettext("Box dropped."));
  }

  drop() {
    if (!this.draft) return;
    const { element, side } = this.draft;
    this.draft = null;
    const hadFocus = element === document.activeElement;
    element.remove();
    this.host.whole(null);
    if (hadFocus) this.host.rest(side);
  }

  keep(side, box) {
    addEvidence(this.form, { side, kind: "box", ...box });
    const number = readEvidence(this.form).length;
    this.off(`${fill(gettext("Evidence %(number)s"), { number })}: ${words(side, box)}.`);
  }

  // ---- by a pointer: what image_gestures.js wants ----
  pen(target) {
    if (!this.isOn) return null;
    let side, start, box;
    const ghost = make("div", "evidence-box draft");
    return {
      begin: (point) => {
        this.drop();
        side = this.host.sideAt(target, point);
        start = this.host.fraction(target, point, side);
        ghost.dataset.side = side;
        this.host.sheet(side, target).append(ghost);
        placeBox(ghost, { ...start, width: 0, height: 0 });
      },
      to: (point) => {
        box = boxBetween(start, this.host.fraction(target, point, side));
        placeBox(ghost, box);
      },
      end: (kept) => {
        ghost.remove();
        if (kept && box && isBox(box)) this.keep(side, box);
      },
    };
  }
}

const percent = (value) => Math.round(100 * value);

function words(side, box) {
  return fill(gettext("Box on %(side)s: left %(x)s %, top %(y)s %, width %(width)s %, height %(height)s %"), {
    side: side.toUpperCase(),
    x: percent(box.x),
    y: percent(box.y),
    width: percent(box.width),
    height: percent(box.height),
  });
}
