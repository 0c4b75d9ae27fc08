// Keeps the clips that play on the same frame: the others follow the one that leads. A small drift
// is made up by playing a little faster or slower for a moment, a large one by stopping and starting
// anew. Where a browser's currentTime runs with the clock it tells the drift to the millisecond;
// where it goes in jumps, the frames on the screen tell it, each off by up to a refresh of it.

const EXACT = { enough: 3, least: 0.002 }; // measurements that are averaged; seconds that are none
const ROUGH = { enough: 12, least: 0.006 };
const MADE_UP_IN = 0.25; // seconds
const MOST = 0.25; // at most so much faster or slower
const FAR = 2; // frames, from which on playing faster is no help
const FAR_SEEN = 3; // times in a row

const exact = (...sides) => sides.every((side) => side.steady > 1);

export class Drift {
  // clock: {sides, running, speed, going(), leader(), followers(), settle()}
  constructor(clock, signal) {
    this.clock = clock;
    this.signal = signal;
    this.seen = new Map(); // side → its drifts since the last decision, seconds ahead of the leader
    this.nudged = new Map(); // side → timer that ends its nudge
  }

  watch(side) {
    const { video } = side;
    if (!video.requestVideoFrameCallback) {
      video.addEventListener("timeupdate", () => this.#rough(side), { signal: this.signal });
      return;
    }
    const shown = (_, frame) => {
      if (this.signal.aborted) return;
      side.frame = { time: frame.mediaTime, at: frame.expectedDisplayTime };
      this.#rough(side);
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }

  // The clips begin anew: what was measured before says nothing.
  forget() {
    this.seen.clear();
    for (const timer of this.nudged.values()) clearTimeout(timer);
    this.nudged.clear();
    for (const side of this.clock.sides) side.forget();
  }

  // At each refresh of the screen while they play.
  look() {
    const now = performance.now();
    const going = this.clock.going();
    for (const side of going) side.look(now);
    const leader = this.clock.leader();
    for (const side of going) {
      if (side !== leader && exact(side, leader)) this.#note(side, side.last.place - leader.last.place, EXACT);
    }
  }

  #rough(side) {
    if (!this.clock.running) return;
    const leader = this.clock.leader();
    if (!this.clock.followers().includes(side) || exact(side, leader)) return;
    if (!side.video.requestVideoFrameCallback) {
      this.#note(side, side.video.currentTime - leader.video.currentTime, EXACT);
    } else if (side.frame && leader.frame) {
      const now = performance.now();
      this.#note(side, side.estimate(now) - leader.estimate(now), ROUGH);
    }
  }

  #note(side, drift, { enough, least }) {
    if (this.nudged.has(side)) return;
    const seen = [...(this.seen.get(side) ?? []), drift];
    this.seen.set(side, seen);
    const last = seen.slice(-FAR_SEEN);
    if (last.length === FAR_SEEN && last.every((one) => Math.abs(one) > FAR / side.rate)) {
      this.clock.settle();
    } else if (seen.length >= enough) {
      this.seen.delete(side);
      const mean = seen.reduce((sum, one) => sum + one, 0) / seen.length;
      if (Math.abs(mean) >= least) this.#nudge(side, mean);
    }
  }

  #nudge(side, drift) {
    const { speed } = this.clock;
    const most = MOST * speed;
    const by = Math.max(-most, Math.min(most, -drift / MADE_UP_IN));
    side.video.playbackRate = speed + by;
    const end = () => {
      this.nudged.delete(side);
      side.video.playbackRate = this.clock.speed;
      side.forget();
    };
    this.nudged.set(side, setTimeout(end, Math.abs((1000 * drift) / by)));
  }
}
