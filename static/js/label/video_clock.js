// The clock that both clips run on. What is wanted (play, a place, a speed) is said here at once;
// settle() brings the clips there: it stops them, moves them, waits until all of them can go on,
// and starts them together. The longer clip is the length of the whole; the shorter holds its last
// frame meanwhile.

import { Drift } from "./video_drift.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const SEEK_PATIENCE = 300; // ms that a newer wish waits for a move under way
const LOAD_PATIENCE = 8000; // ms of waiting for data, after which what there is has to do
const NEWS = ["seeked", "canplay", "canplaythrough", "loadedmetadata", "progress", "error"];

export class Clock extends EventTarget {
  constructor(sides) {
    super();
    this.sides = sides;
    this.at = 0; // seconds; while they play, as of the last look
    this.speed = 1;
    this.loop = true;
    this.range = { start: null, end: null };
    this.alternate = false; // first one clip, then the other
    this.turn = 0;
    this.heard = null; // the side with sound
    this.wanted = false; // somebody wants them to play
    this.running = false;
    this.started = []; // the sides that run
    this.settling = false;
    this.checks = new Set();
    this.stopper = new AbortController();
    this.drift = new Drift(this, this.stopper.signal);
    for (const { video } of sides) Object.assign(video, { muted: true, playbackRate: 1 });
    for (const side of sides) this.#listen(side);
    document.addEventListener("visibilitychange", () => document.hidden && this.pause(), { signal: this.stopper.signal });
  }

  #listen(side) {
    const on = (name, todo) => side.video.addEventListener(name, todo, { signal: this.stopper.signal });
    for (const name of NEWS) on(name, () => this.#look());
    for (const name of ["loadedmetadata", "canplay", "canplaythrough", "error", "progress"]) on(name, () => this.#tell("change"));
    on("waiting", () => this.running && !side.holds(side.video.currentTime + 2 / side.rate) && this.settle(this.now()));
    // the event of our own halt may come when they run again: only one that stands now was stopped
    const stopped = () => this.started.includes(side) && side.video.paused && !side.video.ended;
    on("pause", () => this.running && stopped() && this.pause());
    on("play", () => (side.placed = false));
    on("ended", () => this.running && this.#tick());
    on("timeupdate", () => this.running && this.#tick());
    this.drift.watch(side);
  }

  close() {
    this.wanted = this.running = false;
    this.stopper.abort();
    cancelAnimationFrame(this.frame);
    for (const side of this.sides) side.video.pause();
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }

  // ---- lengths and frames ----

  get rate() {
    return Math.max(...this.sides.map((side) => side.rate));
  }

  get total() {
    return Math.max(...this.sides.map((side) => side.duration));
  }

  get shortest() {
    return Math.min(...this.sides.map((side) => side.duration));
  }

  get frames() {
    return Math.max(1, Math.round(this.total * this.rate));
  }

  frameAt(time) {
    return Math.max(0, Math.min(this.frames - 1, Math.floor(time * this.rate + 0.001)));
  }

  // The middle of a frame, so that rounding in the files never shows the one beside it.
  middle(frame) {
    return frame <= 0 ? 0 : (Math.min(frame, this.frames - 1) + 0.5) / this.rate;
  }

  get bounds() {
    const whole = this.alternate ? this.turning.duration : this.total;
    return { start: this.range.start ?? 0, end: Math.min(this.range.end ?? whole, whole) };
  }

  // ---- who plays ----

  // In turn: a clip that cannot be played leaves its turn to the next.
  get turning() {
    const from = [...this.sides.slice(this.turn), ...this.sides.slice(0, this.turn)];
    return from.find((side) => !side.broken) ?? from[0];
  }

  active() {
    const playing = this.alternate ? [this.turning] : this.sides;
    return playing.filter((side) => !side.broken);
  }

  going() {
    if (this.running) return this.started.filter((side) => !side.broken && !side.video.ended);
    return this.active().filter((side) => !side.holds(this.at));
  }

  // The one whose sound is heard is never played faster or slower; else the longest leads.
  leader() {
    const going = this.going();
    const heard = going.find((side) => side === this.heard);
    return heard ?? going.reduce((best, side) => (best && best.duration >= side.duration ? best : side), null);
  }

  followers() {
    const leader = this.leader();
    return this.going().filter((side) => side !== leader);
  }

  now() {
    return (this.running && this.leader()?.video.currentTime) || this.at;
  }

  get waiting() {
    return this.settling && this.wanted;
  }

  // ---- what people want ----

  play() {
    const { start, end } = this.bounds;
    if (this.at < start || this.at >= end - 1 / this.rate) this.at = start;
    this.wanted = true;
    for (const side of this.active()) side.count("plays");
    this.settle();
  }

  pause() {
    if (!this.wanted && !this.running) return;
    this.wanted = false;
    this.settle(this.middle(this.frameAt(this.now())));
  }

  toggle() {
    if (this.wanted) this.pause();
    else this.play();
  }

  // counted: false where a drag goes on, so that it is one seek
  seek(time, counted = true) {
    if (counted) for (const side of this.sides) side.count("seeks");
    this.settle(this.middle(this.frameAt(Math.max(0, Math.min(time, this.total)))));
  }

  step(frames) {
    this.wanted = false;
    this.settle(this.middle(this.frameAt(this.now()) + frames));
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.running) for (const side of this.sides) side.video.playbackRate = speed;
    this.#tell("change");
  }

  setRange(start, end) {
    this.range = { start, end };
    this.#tell("change");
  }

  setAlternate(on) {
    const at = this.now();
    this.alternate = on;
    this.turn = 0;
    this.settle(on ? this.bounds.start : at);
  }

  hear(side) {
    this.heard = side;
    for (const each of this.sides) each.video.muted = each !== side;
    this.#tell("change");
  }

  // ---- bringing it about ----

  async settle(time = this.now()) {
    this.at = time;
    this.again = true;
    this.#tell("time");
    this.#look();
    if (this.settling) return;
    this.settling = true;
    while (this.again && !this.stopper.signal.aborted) {
      this.again = false;
      await this.#arrange();
    }
    this.settling = false;
    this.wanted &&= this.active().length > 0;
    if (this.wanted && !this.stopper.signal.aborted) this.#start();
    this.#tell("change");
  }

  async #arrange() {
    this.#halt();
    this.#tell("change");
    const moved = this.wanted ? this.active() : this.sides;
    for (const side of moved) side.move(this.at, !this.wanted);
    const settled = () => moved.every((side) => side.settled);
    await this.#until(settled, SEEK_PATIENCE);
    await this.#until(() => this.again || settled(), LOAD_PATIENCE);
    const ready = () => this.active().every((side) => side.ready);
    await this.#until(() => this.again || !this.wanted || ready(), LOAD_PATIENCE);
  }

  #halt() {
    this.running = false;
    cancelAnimationFrame(this.frame);
    for (const side of this.sides) side.video.pause();
  }

  #start() {
    this.drift.forget();
    this.running = true;
    this.turn = this.alternate ? this.sides.indexOf(this.turning) : 0;
    this.started = this.active().filter((side) => !side.holds(this.at));
    for (const side of this.started) {
      side.video.playbackRate = this.speed;
      side.placed = false;
      side.video.play().catch((error) => this.#refused(error));
    }
    this.#tick();
  }

  // A browser may forbid sound before somebody has touched the page.
  #refused(error) {
    if (error.name !== "NotAllowedError" || !this.running) return;
    if (this.heard) this.hear(null);
    else this.wanted = false;
    this.settle(this.at);
  }

  #tick() {
    cancelAnimationFrame(this.frame);
    if (!this.running) return;
    this.at = this.now();
    this.#tell("time");
    if (this.#over()) return this.#finish();
    this.drift.look();
    if (this.running) this.frame = requestAnimationFrame(() => this.#tick());
  }

  #over() {
    if (this.going().length === 0) return true;
    return this.range.end !== null && this.at >= this.bounds.end - 0.001;
  }

  #finish() {
    const next = this.sides.findIndex((side, n) => n > this.turn && !side.broken);
    const last = !this.alternate || next < 0;
    this.turn = last ? 0 : next;
    if (last && !this.loop) {
      this.wanted = false;
      return this.settle(this.middle(this.frameAt(this.bounds.end - 0.5 / this.rate)));
    }
    return this.settle(this.bounds.start);
  }

  // ---- waiting ----

  #look() {
    for (const check of this.checks) check();
  }

  #until(test, patience) {
    return new Promise((done) => {
      const finish = () => {
        clearTimeout(timer);
        this.checks.delete(check);
        done();
      };
      const check = () => test() && finish();
      const timer = setTimeout(finish, patience);
      this.checks.add(check);
      check();
    });
  }
}
