// Keeps the clips that play on the same frame: the others follow the one that leads. A small drift
// is made up by playing a little faster or slower, a large one by stopping and starting anew.

const GAIN = 2; // a drift is made up within half a second
const MOST = 0.1; // at most so much faster or slower
const LEAST = 0.004; // seconds that are no drift but noise
const SAMPLES = 5;

export class Drift {
  // clock: {running, speed, leader(), followers(), settle(time)}
  constructor(clock, signal) {
    this.clock = clock;
    this.signal = signal;
    this.seen = new Map(); // side → its last drifts, seconds ahead of the leader
  }

  watch(side) {
    const { video } = side;
    if (!video.requestVideoFrameCallback) {
      video.addEventListener("timeupdate", () => this.coarse(), { signal: this.signal });
      return;
    }
    const shown = (_, frame) => {
      if (this.signal.aborted) return;
      side.frame = { time: frame.mediaTime, at: frame.expectedDisplayTime };
      this.fine(side);
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }

  forget() {
    this.seen.clear();
    for (const side of this.clock.sides) side.frame = null;
  }

  fine(side) {
    const leader = this.clock.leader();
    if (!this.clock.running || !leader?.frame || side === leader || !side.frame) return;
    if (!this.clock.followers().includes(side)) return;
    const now = performance.now();
    this.correct(side, side.estimate(now) - leader.estimate(now));
  }

  coarse() {
    if (!this.clock.running) return;
    const leader = this.clock.leader();
    for (const side of this.clock.followers()) {
      this.correct(side, side.video.currentTime - leader.video.currentTime);
    }
  }

  correct(side, drift) {
    const seen = [...(this.seen.get(side) ?? []), drift].slice(-SAMPLES);
    this.seen.set(side, seen);
    if (seen.length < 3) return;
    const usual = seen.toSorted((a, b) => a - b)[seen.length >> 1];
    if (Math.abs(usual) > 2 / side.rate) {
      this.clock.settle(this.clock.leader().video.currentTime);
      return;
    }
    const most = MOST * this.clock.speed;
    const by = Math.abs(usual) < LEAST ? 0 : Math.max(-most, Math.min(most, -GAIN * usual));
    const wanted = this.clock.speed + by;
    if (Math.abs(side.video.playbackRate - wanted) > 0.002) side.video.playbackRate = wanted;
  }
}
