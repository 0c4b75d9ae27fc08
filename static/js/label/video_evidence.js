// What the rationale points at in a clip: time ranges, and boxes on a frame. They live in the form's
// hidden field like all evidence; here they are drawn, listed, and made from two presses of a key.

import { fill, gettext } from "../words.js";
import { CHANGED, addEvidence, readEvidence, removeEvidence } from "./evidence.js";
import { seconds } from "./video_timeline.js";

const ours = (item) => item.kind === "time" || (item.kind === "box" && item.at !== undefined);
const round = (value) => Math.round(value * 1000) / 1000;

export class VideoEvidence {
  constructor(desk) {
    this.desk = desk;
    this.pending = null; // {side, start}: a range whose end is not said yet
    this.list = desk.root.querySelector(".marked");
    desk.form.addEventListener(CHANGED, () => this.draw(), { signal: desk.signal });
    this.list.addEventListener("click", (event) => this.#click(event), { signal: desk.signal });
  }

  // The key e: the looped range at once, else the first press begins a range and the second ends it.
  mark() {
    const { clock } = this.desk;
    const side = this.pending?.side ?? this.desk.side;
    if (!this.pending && clock.range.start !== null) {
      return this.#add(side, clock.range.start, clock.range.end);
    }
    const frame = clock.frameAt(clock.now());
    if (!this.pending) {
      this.pending = { side, start: frame / clock.rate };
      const words = gettext("%(side)s from %(start)s s: the same key again ends the range, Escape forgets it.");
      this.desk.say(fill(words, { side: side.place.toUpperCase(), start: seconds(this.pending.start) }));
      return this.draw();
    }
    const [start, end] = [this.pending.start, (frame + 1) / clock.rate];
    this.pending = null;
    // the end may be pressed at an earlier place than the start
    if (end <= start) return this.#add(side, frame / clock.rate, start + 1 / clock.rate);
    return this.#add(side, start, end);
  }

  forget() {
    this.pending = null;
    this.desk.say(gettext("Range forgotten."));
    this.draw();
  }

  #add(side, start, end) {
    const last = Math.min(end, side.duration);
    if (last - start < 0.001) {
      this.draw();
      return this.desk.say(fill(gettext("Clip %(side)s is over by then."), { side: side.place.toUpperCase() }));
    }
    const item = { side: side.place, kind: "time", start: round(start), end: round(last) };
    addEvidence(this.desk.form, item);
    return this.desk.say(fill(gettext("Marked: %(what)s."), { what: describe(item) }));
  }

  addBox(side, box) {
    const at = this.desk.clock.frameAt(this.desk.clock.at) / this.desk.clock.rate;
    const parts = Object.fromEntries(Object.entries(box).map(([name, value]) => [name, Math.round(value * 1e4) / 1e4]));
    const item = { side: side.place, kind: "box", ...parts, at: round(at) };
    addEvidence(this.desk.form, item);
    this.desk.say(fill(gettext("Marked: %(what)s."), { what: describe(item) }));
  }

  draw() {
    const { clock, timeline, form, root } = this.desk;
    const items = readEvidence(form);
    for (const { place } of clock.sides) {
      const bars = items
        .filter((item) => item.side === place && ours(item))
        .map((item) => ({ start: item.start ?? item.at, end: item.end ?? item.at + 1 / clock.rate, name: item.kind }));
      timeline.draw(`of-${place}`, [...bars, ...this.#open(place)]);
    }
    this.list.replaceChildren(...items.flatMap((item, index) => (ours(item) ? [entry(item, index)] : [])));
    this.list.hidden = !this.list.firstChild;
    root.querySelector('[data-do="mark"]').setAttribute("aria-pressed", this.pending !== null);
  }

  #open(place) {
    if (this.pending?.side.place !== place) return [];
    const { clock } = this.desk;
    const [start, end] = [this.pending.start, clock.at].toSorted((a, b) => a - b);
    return [{ start, end: Math.max(end, start + 1 / clock.rate), name: "time open" }];
  }

  #click(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const index = Number(button.closest("li").dataset.index);
    const item = readEvidence(this.desk.form)[index];
    if (button.dataset.act === "go") return this.desk.clock.seek(item.start ?? item.at);
    removeEvidence(this.desk.form, index);
    this.desk.say(gettext("Removed."));
    return (this.list.querySelector("button") ?? this.desk.timeline.slider).focus();
  }
}

export function describe(item) {
  const values = { side: item.side.toUpperCase(), start: seconds(item.start ?? item.at), end: seconds(item.end ?? 0) };
  if (item.kind === "box") return fill(gettext("%(side)s box at %(start)s s"), values);
  return fill(gettext("%(side)s %(start)s to %(end)s s"), values);
}

function entry(item, index) {
  const row = document.createElement("li");
  row.dataset.index = index;
  row.className = `side-${item.side}`;
  row.append(
    button("go", describe(item), fill(gettext("Go to %(what)s"), { what: describe(item) })),
    button("remove", "×", fill(gettext("Remove %(what)s"), { what: describe(item) })),
  );
  return row;
}

export function button(act, words, label) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "secondary small", textContent: words });
  made.dataset.act = act;
  made.setAttribute("aria-label", label);
  return made;
}
