// What the rationale points at in a clip: time ranges, and boxes on a frame. They live in the form's
// hidden field and its list like all evidence; here they are made, and drawn on the timeline.

import { fill, gettext } from "../words.js";
import { CHANGED, SHOW, addEvidence, readEvidence } from "./evidence.js";
import { showLegend } from "./key_list.js";
import { seconds } from "./video_timeline.js";

const ours = (item) => item.kind === "time" || (item.kind === "box" && item.at !== undefined);
const round = (value) => Math.round(value * 1000) / 1000;

export class VideoEvidence {
  constructor(desk) {
    this.desk = desk;
    this.pending = null; // {side, start}: a range whose end is not said yet
    this.pointed = null; // the place in the list that somebody looks at
    desk.card.addEventListener(CHANGED, () => this.draw(), { signal: desk.signal });
    desk.card.addEventListener(SHOW, (event) => this.#show(event.detail), { signal: desk.signal });
  }

  // Somebody looks at an item of the list: the clips go there, unless they play.
  #show({ item, index, on }) {
    if (!ours(item)) return;
    this.pointed = on ? index : null;
    if (on && !this.desk.clock.wanted) this.desk.clock.seek(item.start ?? item.at, false);
    this.draw();
  }

  // The key e: the first press begins a range, or takes the loop as one; the second ends it.
  mark() {
    const { clock } = this.desk;
    const side = this.pending?.side ?? this.desk.side;
    if (!this.pending && clock.range.start !== null) {
      this.pending = { side, ...clock.range };
      const words = gettext("%(side)s, the loop from %(start)s to %(end)s s: Enter or the same key marks it, arrows move its end; Tab or a, b: the side; Escape forgets it.");
      this.desk.say(fill(words, { side: side.place.toUpperCase(), start: seconds(this.pending.start), end: seconds(this.pending.end) }));
      showLegend();
      return this.draw();
    }
    if (this.pending?.end) {
      const { start, end } = this.pending;
      this.pending = null;
      showLegend();
      return this.#add(side, start, end);
    }
    const frame = clock.frameAt(clock.now());
    if (!this.pending) {
      this.pending = { side, start: frame / clock.rate };
      const words = gettext("%(side)s from %(start)s s: arrows move by a frame, with Shift by half a second; Enter or the same key ends the range; Tab or a, b: the side; Escape forgets it.");
      this.desk.say(fill(words, { side: side.place.toUpperCase(), start: seconds(this.pending.start) }));
      showLegend();
      return this.draw();
    }
    const [start, end] = [this.pending.start, (frame + 1) / clock.rate];
    this.pending = null;
    showLegend();
    // the end may be pressed at an earlier place than the start
    if (end <= start) return this.#add(side, frame / clock.rate, start + 1 / clock.rate);
    return this.#add(side, start, end);
  }

  // Its end by frames: where the clips are, or that of the loop.
  step(frames) {
    const { clock } = this.desk;
    if (!this.pending.end) return clock.step(frames);
    const frame = 1 / clock.rate;
    this.pending.end = Math.max(this.pending.start + frame, Math.min(clock.total, this.pending.end + frames * frame));
    clock.pause();
    clock.seek(this.pending.end - frame / 2, false);
    return this.draw();
  }

  turn(side) {
    if (!this.pending || this.pending.side === side) return;
    this.pending.side = side;
    this.desk.say(fill(gettext("Evidence points at %(side)s."), { side: side.place.toUpperCase() }));
    this.draw();
  }

  // Ends an open range here; without one nothing happens.
  end() {
    if (this.pending) this.mark();
  }

  forget() {
    this.pending = null;
    showLegend();
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
    return this.#keep(item);
  }

  addBox(side, box) {
    const at = this.desk.clock.frameAt(this.desk.clock.at) / this.desk.clock.rate;
    const parts = Object.fromEntries(Object.entries(box).map(([name, value]) => [name, Math.round(value * 1e4) / 1e4]));
    const item = { side: side.place, kind: "box", ...parts, at: round(at) };
    this.#keep(item);
  }

  #keep(item) {
    if (addEvidence(this.desk.form, item)) this.desk.say(fill(gettext("Marked: %(what)s."), { what: describe(item) }));
  }

  draw() {
    const { clock, timeline, form, root } = this.desk;
    const items = readEvidence(form);
    for (const { place } of clock.sides) {
      const bars = items.flatMap((item, index) => (item.side === place && ours(item) ? [this.#bar(item, index)] : []));
      timeline.draw(`of-${place}`, [...bars, ...this.#open(place)]);
    }
    root.querySelector('[data-do="mark"]').setAttribute("aria-pressed", this.pending !== null);
  }

  #bar(item, index) {
    const start = item.start ?? item.at;
    const name = index === this.pointed ? `${item.kind} pointed` : item.kind;
    return { start, end: item.end ?? start + 1 / this.desk.clock.rate, name };
  }

  #open(place) {
    if (this.pending?.side.place !== place) return [];
    const { clock } = this.desk;
    const [start, end] = [this.pending.start, this.pending.end ?? clock.at].toSorted((a, b) => a - b);
    return [{ start, end: Math.max(end, start + 1 / clock.rate), name: "time open" }];
  }
}

function describe(item) {
  const values = { side: item.side.toUpperCase(), start: seconds(item.start ?? item.at), end: seconds(item.end ?? 0) };
  if (item.kind === "box") return fill(gettext("%(side)s box at %(start)s s"), values);
  return fill(gettext("%(side)s %(start)s to %(end)s s"), values);
}
