// The clips of a set: one of them plays, or all on one clock.

import { Clock } from "../label/video_clock.js";
import { Side } from "../label/video_side.js";

export class Clips {
  constructor(options) {
    const sides = options.filter(clipOf).map((option) => new Side(option, clipOf(option)));
    for (const { video } of sides) video.preload = "auto";
    this.clock = sides.length ? new Clock(sides) : null;
    if (this.clock) this.clock.loop = false;
  }

  stop() {
    this.clock?.close();
  }

  one(option) {
    const here = clipOf(option);
    const was = here.paused || this.clock.wanted;
    this.clock.pause();
    for (const { video } of this.clock.sides) video.pause();
    if (was) here.play().catch(() => {}); // one that cannot be played says so itself
  }

  all() {
    if (!this.clock.wanted) for (const { video } of this.clock.sides) video.pause();
    this.clock.toggle();
  }

  step(frames) {
    this.clock.step(frames);
  }
}

export function clipOf(option) {
  return option?.querySelector("video") ?? null;
}
