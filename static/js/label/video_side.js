// One of the clips that are compared: where it is, whether it can go on, which frame it shows.

const USUAL_RATE = 25; // frames a second, where the file does not say
const CLOSE = 0.001; // seconds
const STEADY = 0.003; // seconds by which a clip that runs with the clock may be off it

export class Side {
  constructor(answer, video) {
    this.answer = answer;
    this.video = video;
    this.place = answer.dataset.place;
    this.rate = Number(video.dataset.frameRate) || USUAL_RATE;
    for (const name of ["plays", "seeks"]) answer.dataset[name] ??= 0;
    this.placed = true; // it has not played since it was last moved
    this.forget();
  }

  get duration() {
    const { duration } = this.video;
    return Number.isFinite(duration) ? duration : Number(this.video.dataset.duration) || 0;
  }

  get broken() {
    return this.video.error !== null;
  }

  // Whether the file has no sound, as far as the browser tells; one that does not tell has some.
  get silent() {
    const { video } = this;
    if (video.readyState < 3) return false;
    if (video.audioTracks) return video.audioTracks.length === 0;
    if (video.mozHasAudio !== undefined) return !video.mozHasAudio;
    return video.webkitVideoDecodedByteCount > 0 && video.webkitAudioDecodedByteCount === 0;
  }

  // Whether it is over at that time and holds its last frame.
  holds(time) {
    return time >= this.duration - 0.25 / this.rate;
  }

  target(time) {
    return this.holds(time) ? Math.max(0, this.duration - 0.5 / this.rate) : time;
  }

  // Goes to a time; a clip that is there already is left alone. One that comes to stand after it
  // has played is moved all the same: the frame on the screen may be one ahead of currentTime.
  move(time, stands) {
    const target = this.target(time);
    const there = !this.video.seeking && Math.abs(this.video.currentTime - target) < CLOSE;
    if (there && (this.placed || !stands)) return;
    this.video.currentTime = target;
    this.placed = true;
  }

  get settled() {
    return this.broken || (this.video.readyState >= 2 && !this.video.seeking);
  }

  // Enough to play on; the last frames have nothing after them to wait for.
  get ready() {
    if (this.broken || this.video.readyState >= 4) return true;
    const last = this.video.currentTime >= this.duration - 2 / this.rate;
    return last && this.video.readyState >= 2;
  }

  forget() {
    this.frame = null; // the last one shown: {time, at}, seconds of the clip and ms of the page
    this.last = null; // the last look: {place, now}, likewise
    this.steady = 0; // how often in a row currentTime had moved as the clock did
  }

  look(now) {
    const place = this.video.currentTime;
    const { last } = this;
    const expected = last && last.place + ((now - last.now) / 1000) * this.video.playbackRate;
    this.steady = last && Math.abs(place - expected) < STEADY ? this.steady + 1 : 0;
    this.last = { place, now };
  }

  // Where the clip is at a moment (ms of the page), from the frame it showed last.
  estimate(now) {
    return this.frame.time + ((now - this.frame.at) / 1000) * this.video.playbackRate;
  }

  // plays and seeks are what somebody did, not what the clock does to keep the clips together.
  count(name) {
    this.answer.dataset[name] = Number(this.answer.dataset[name]) + 1;
  }
}
