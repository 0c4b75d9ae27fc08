// The bar under both clips: a slider for the keyboard and the pointer, with what is marked on it.

import { fill, gettext } from "../words.js";

const SAY_EVERY = 250; // ms between two values told to a screen reader

export const seconds = (time) => time.toFixed(2);

export class Timeline {
  constructor(root, clock, signal) {
    this.slider = root.querySelector(".seek");
    this.track = root.querySelector(".track");
    this.readout = root.querySelector(".clock");
    this.clock = clock;
    this.said = 0;
    this.dragged = false;
    const on = (name, todo) => this.slider.addEventListener(name, todo, { signal });
    on("pointerdown", (event) => this.#grab(event));
    on("pointermove", (event) => this.dragged && clock.seek(this.#timeOf(event), false));
    on("pointerup", () => (this.dragged = false));
    on("pointercancel", () => (this.dragged = false));
    on("keydown", (event) => this.#key(event));
    clock.addEventListener("time", () => this.show());
    clock.addEventListener("change", () => this.show(true));
  }

  #grab(event) {
    if (event.button !== 0) return;
    this.slider.setPointerCapture(event.pointerId);
    this.dragged = true;
    this.clock.seek(this.#timeOf(event));
  }

  #timeOf(event) {
    const box = this.track.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * this.clock.total;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const { clock } = this;
    const todo = {
      ArrowLeft: () => clock.step(-1),
      ArrowDown: () => clock.step(-1),
      ArrowRight: () => clock.step(1),
      ArrowUp: () => clock.step(1),
      PageDown: () => clock.seek(clock.now() - 1),
      PageUp: () => clock.seek(clock.now() + 1),
      Home: () => clock.seek(0),
      End: () => clock.seek(clock.total),
    }[event.key];
    if (!todo) return;
    event.preventDefault(); // the same keys move along the scale of verdicts elsewhere
    event.stopPropagation();
    todo();
  }

  show(now = false) {
    const { clock } = this;
    const at = clock.frameAt(clock.at) / clock.rate;
    this.track.style.setProperty("--at", clock.total ? Math.min(1, clock.at / clock.total) : 0);
    this.readout.textContent = `${seconds(at)} / ${seconds(clock.total)} s`;
    if (!now && performance.now() - this.said < SAY_EVERY) return;
    this.said = performance.now();
    this.slider.setAttribute("aria-valuemax", clock.total.toFixed(2));
    this.slider.setAttribute("aria-valuenow", at.toFixed(2));
    const words = fill(gettext("%(at)s s of %(total)s s"), { at: at.toFixed(1), total: clock.total.toFixed(1) });
    this.slider.setAttribute("aria-valuetext", words);
  }

  // bars: [{start, end, name}], times in seconds; name is a class
  draw(lane, bars) {
    const total = this.clock.total || 1;
    const drawn = bars.map(({ start, end, name }) => {
      const bar = document.createElement("span");
      bar.className = `bar ${name}`;
      bar.style.insetInlineStart = `${(100 * start) / total}%`;
      bar.style.inlineSize = `${(100 * Math.max(0, end - start)) / total}%`;
      return bar;
    });
    this.track.querySelector(`.${lane}`).replaceChildren(...drawn);
  }
}
