// Ranges of a set's clips as evidence. On the board each clip may stand at a place of its own, so a
// range is told by the clip that it is marked on, and not by the clock of all.

import { gettext, fill } from "../words.js";
import { SHOW } from "../label/evidence.js";
import { VideoEvidence } from "../label/video_evidence.js";
import { make } from "../label/image_stage.js";

export class Ranges {
  constructor(desk) {
    const { card, form, tools, signal, clips } = desk;
    Object.assign(this, { desk, card, form, signal, root: tools, sides: clips.clock?.sides ?? [] });
    this.strips = new Map(this.sides.map((side) => [side.place, this.strip(side)]));
    this.timeline = { draw: (name, bars) => this.paint(name.replace("of-", ""), bars) };
    this.clock = new ClockOfOne(this, clips);
    this.looked = null; // the clip of the item that somebody looks at
    card.addEventListener(SHOW, ({ detail }) => (this.looked = this.sides.find(({ place }) => place === detail.item?.side)), { signal });
    this.evidence = new VideoEvidence(this);
    for (const { video } of this.sides) {
      video.addEventListener("timeupdate", () => this.isBusy && this.evidence.draw(), { signal });
      video.addEventListener("loadedmetadata", () => this.evidence.draw(), { signal });
    }
    this.evidence.draw();
  }

  stop() {
    if (this.isBusy) this.evidence.forget();
    for (const strip of this.strips.values()) strip.remove();
  }

  // The clip of the answer in use.
  get side() {
    const place = this.desk.placeIn(this.sides.map((side) => side.place));
    return this.sides.find((side) => side.place === place);
  }

  say(words) {
    this.desk.say(words);
  }

  // ---- by key and button ----
  get isBusy() {
    return this.evidence.pending !== null;
  }

  mark() {
    this.looked = null;
    if (this.sides.length) this.evidence.mark();
  }

  step(frames, seconds) {
    this.evidence.step(frames + Math.round(seconds * this.clock.rate));
    this.say(fill(gettext("%(side)s from %(start)s to %(end)s s"), { side: this.clock.side.place, start: this.evidence.pending.start.toFixed(2), end: this.clock.now().toFixed(2) }));
  }

  // To the next answer, or to one by its place. Its clip goes where this one stands, so that the range
  // stays what it was.
  turn(place = null) {
    const { sides } = this;
    const next = place ? sides.find((side) => side.place === place) : sides[(sides.indexOf(this.evidence.pending.side) + 1) % sides.length];
    const at = this.clock.now();
    this.evidence.turn(next);
    this.clock.seek(at);
    this.desk.board.focus(next.answer);
  }

  has(place) {
    return this.sides.some((side) => side.place === place);
  }

  end() {
    this.evidence.end();
  }

  drop() {
    this.evidence.forget();
  }

  // ---- a line under each clip with what is marked on it ----
  strip(side) {
    const strip = make("div", "range-strip", { "aria-hidden": "true" });
    side.video.after(strip);
    return strip;
  }

  paint(place, bars) {
    const { duration } = this.sides.find((side) => side.place === place);
    const share = (seconds) => `${(100 * seconds) / (duration || 1)}%`;
    this.strips.get(place).replaceChildren(
      ...bars.map(({ start, end, name }) => {
        const bar = make("span", name);
        Object.assign(bar.style, { left: share(start), width: share(end - start) });
        return bar;
      }),
    );
  }
}

// What VideoEvidence asks of the clock of both clips, for the one clip in hand.
class ClockOfOne {
  range = { start: null, end: null };

  constructor(hand, clips) {
    Object.assign(this, { hand, clips });
  }

  get sides() {
    return this.hand.sides;
  }

  get side() {
    return this.hand.evidence?.pending?.side ?? this.hand.looked ?? this.hand.side;
  }

  // Whether they play: then nobody is taken elsewhere.
  get wanted() {
    return this.sides.some(({ video }) => !video.paused);
  }

  get rate() {
    return this.side.rate;
  }

  get total() {
    return this.side.duration;
  }

  get at() {
    return this.now();
  }

  now() {
    return this.side.video.currentTime;
  }

  frameAt(time) {
    const frames = Math.max(1, Math.round(this.total * this.rate));
    return Math.max(0, Math.min(frames - 1, Math.floor(time * this.rate + 0.001)));
  }

  step(frames) {
    if (this.clips.clock.wanted) return this.clips.step(frames);
    this.side.video.pause();
    return this.show(this.frameAt(this.now()) + frames);
  }

  seek(time) {
    this.show(this.frameAt(time));
  }

  show(frame) {
    this.side.move((Math.max(0, frame) + 0.5) / this.rate);
  }
}
