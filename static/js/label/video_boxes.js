// Boxes on a paused frame, drawn with the pointer or moved and sized by the arrow keys.

import { gettext } from "../words.js";
import { CHANGED, readEvidence } from "./evidence.js";
import { showLegend } from "./key_list.js";
import { boxBetween, drawBoxes, isBox, moved, placeBox, resized } from "./image_boxes.js";

const MIDDLE = { x: 0.35, y: 0.35, width: 0.3, height: 0.3 };
const STEP = 0.02;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Boxes {
  constructor(desk) {
    this.desk = desk;
    this.box = null; // the one that is being made
    this.side = null;
    this.layers = new Map(desk.clock.sides.map((side) => [side, this.#layer(side)]));
    this.observer = new ResizeObserver(() => this.place());
    for (const side of desk.clock.sides) this.observer.observe(side.video);
    desk.signal.addEventListener("abort", () => this.#close());
    desk.card.addEventListener(CHANGED, () => this.draw(), { signal: desk.signal });
    desk.clock.addEventListener("time", () => this.draw());
    desk.clock.addEventListener("change", () => this.place());
  }

  get on() {
    return this.side !== null;
  }

  #layer(side) {
    const layer = document.createElement("div");
    layer.className = "frame-layer";
    layer.append(document.createElement("div"));
    side.video.after(layer);
    const on = (name, todo) => layer.addEventListener(name, todo, { signal: this.desk.signal });
    on("pointerdown", (event) => this.#press(side, event));
    on("pointermove", (event) => this.#drag(side, event));
    on("pointerup", () => this.#release(side));
    on("pointercancel", () => (this.corner = null));
    return layer;
  }

  #close() {
    this.observer.disconnect();
    for (const layer of this.layers.values()) layer.remove();
  }

  // Over the picture itself, not over the bars beside it.
  place() {
    for (const [side, layer] of this.layers) {
      const { video } = side;
      const scale = Math.min(video.clientWidth / video.videoWidth, video.clientHeight / video.videoHeight);
      if (!Number.isFinite(scale)) continue;
      const [width, height] = [video.videoWidth * scale, video.videoHeight * scale];
      layer.style.width = `${width}px`;
      layer.style.height = `${height}px`;
      layer.style.left = `${video.offsetLeft + (video.clientWidth - width) / 2}px`;
      layer.style.top = `${video.offsetTop + (video.clientHeight - height) / 2}px`;
    }
    this.draw();
  }

  draw() {
    const { clock, form } = this.desk;
    const frame = clock.frameAt(clock.at);
    const shown = readEvidence(form)
      .map((item, index) => ({ ...item, number: index + 1 }))
      .filter((item) => item.kind === "box" && item.at !== undefined && clock.frameAt(item.at) === frame);
    for (const [side, layer] of this.layers) {
      drawBoxes(layer.firstChild, shown.filter((item) => item.side === side.place));
      layer.classList.toggle("drawing", this.on);
      if (this.side !== side || !this.box) continue;
      const element = document.createElement("span");
      element.className = "evidence-box open";
      element.dataset.side = side.place;
      placeBox(element, this.box);
      layer.firstChild.append(element);
    }
  }

  toggle() {
    if (this.on) return this.stop();
    this.desk.clock.pause();
    this.side = this.desk.side;
    this.box = MIDDLE;
    this.desk.say(gettext("Drag on the frame, or use the arrow keys, with Shift for the size; Tab or a, b: the side; Enter keeps the box, Escape forgets it."));
    return this.#changed();
  }

  turn(side) {
    if (!this.on || this.corner) return;
    this.side = side;
    this.draw();
  }

  stop() {
    this.side = this.box = this.corner = null;
    this.#changed();
  }

  #changed() {
    this.desk.root.querySelector('[data-do="box"]').setAttribute("aria-pressed", this.on);
    showLegend();
    this.draw();
  }

  keep() {
    const { side, box } = this;
    this.stop();
    this.desk.evidence.addBox(side, box);
  }

  // Whether a key was meant for the box in hand.
  key(event) {
    if (event.key === "Escape") this.stop();
    else if (event.key === "Enter") this.keep();
    else if (ARROWS[event.key]) {
      const [dx, dy] = ARROWS[event.key].map((way) => way * STEP);
      this.box = (event.shiftKey ? resized : moved)(this.box, dx, dy);
      this.draw();
    } else return false;
    return true;
  }

  #at(side, event) {
    const area = this.layers.get(side).getBoundingClientRect();
    return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height };
  }

  #press(side, event) {
    this.desk.point(side);
    if (!this.on || event.button !== 0) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    this.side = side;
    this.corner = this.#at(side, event);
  }

  #drag(side, event) {
    if (!this.corner) return;
    this.box = boxBetween(this.corner, this.#at(side, event));
    this.draw();
  }

  #release(side) {
    if (!this.corner) return this.on || this.desk.clock.toggle();
    this.corner = null;
    if (isBox(this.box) && this.side === side) return this.keep();
    this.box = MIDDLE;
    return this.draw();
  }
}
