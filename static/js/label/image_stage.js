// Both pictures over each other, a to the left of a divider and b to its right. The stage lies over
// the two answers, which stay where they are.

import { gettext } from "../words.js";
import { pointOf } from "./image_gestures.js";

export const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };

export class Stage {
  // stride: (right, down) pans, for the divider has the focus and with it the arrows
  constructor(answers, pictures, stride) {
    this.answers = answers;
    this.stride = stride;
    this.at = 50; // per cent of the stage's width
    this.element = make("div", "picture stage");
    for (const side of "ab") {
      const clip = make("div", "clip", { "data-side": side });
      clip.append(pictures[side].copy());
      this.element.append(clip);
    }
    for (const side of "ab") {
      const letter = make("span", "stage-letter", { "data-side": side, "aria-hidden": "true" });
      letter.textContent = side.toUpperCase();
      this.element.append(letter);
    }
    this.divider = this.makeDivider();
    this.element.append(this.divider);
    this.move(50);
  }

  makeDivider() {
    const divider = make("div", "divider", {
      role: "slider",
      tabindex: "0",
      "aria-label": gettext("Divider: A to its left, B to its right"),
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-orientation": "horizontal",
    });
    divider.addEventListener("keydown", (event) => this.key(event));
    divider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      divider.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true });
      event.preventDefault();
    });
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      this.move((100 * pointOf(event, this.element).x) / this.element.clientWidth);
    });
    return divider;
  }

  key(event) {
    const step = STEPS[event.key];
    const way = DIRECTIONS[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (!event.shiftKey) this.move(this.at + step);
    else if (way) this.stride(...way);
  }

  move(to) {
    this.at = Math.min(100, Math.max(0, to));
    const percent = Math.round(this.at);
    this.element.style.setProperty("--at", `${this.at}%`);
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `A ${percent} %, B ${100 - percent} %`);
  }

  // The side that is seen at a point of the stage.
  sideAt(point) {
    return this.element.dataset.shows || (point.x < (this.at / 100) * this.element.clientWidth ? "a" : "b");
  }

  get isOpen() {
    return this.element.isConnected;
  }

  open() {
    this.scrolled = this.answers.scrollLeft;
    this.answers.dataset.stage = "";
    this.answers.append(this.element);
  }

  close() {
    this.element.remove();
    delete this.answers.dataset.stage;
    // the phone's answers stand side by side again, at the one that was before
    this.answers.scrollTo({ left: this.scrolled, behavior: "instant" });
  }
}

export function make(tag, className, attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
