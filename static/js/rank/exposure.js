// How long a set was before somebody's eyes, which of its answers could be seen for how long, and
// how much of each clip was played.

export class Exposure {
  // before: the exposure of the same card before it was set aside
  constructor(card, before) {
    this.card = card;
    this.visible = before?.visible ?? 0;
    this.sides = new Map([...card.querySelectorAll(".option")].map((option) => [option, { ms: before?.sides.get(option)?.ms ?? 0, on: false }]));
    this.last = performance.now();
    this.ending = new AbortController();
    this.observer = new IntersectionObserver((entries) => this.see(entries), { threshold: 0.5 });
    for (const option of this.sides.keys()) this.observer.observe(option);
    document.addEventListener("visibilitychange", () => this.tick(document.visibilityState !== "visible"), { signal: this.ending.signal });
  }

  // Adds the time since the last look; of a hidden page only what came before it was hidden.
  tick(wasVisible = document.visibilityState === "visible") {
    const now = performance.now();
    if (wasVisible) {
      this.visible += now - this.last;
      for (const side of this.sides.values()) if (side.on) side.ms += now - this.last;
    }
    this.last = now;
  }

  see(entries) {
    this.tick();
    for (const entry of entries) this.sides.get(entry.target).on = entry.isIntersecting;
  }

  read() {
    this.tick();
    const seen = { visible_ms: Math.round(this.visible), width: innerWidth, height: innerHeight, outputs: {} };
    seen.device = matchMedia("(pointer: coarse)").matches ? "touch" : "pointer";
    for (const [option, side] of this.sides) {
      const of = { ms: Math.round(side.ms) };
      const video = option.querySelector("video");
      if (video?.duration) of.watched = watched(video);
      seen.outputs[option.dataset.output] = of;
    }
    return seen;
  }

  stop() {
    this.tick();
    this.ending.abort();
    this.observer.disconnect();
  }
}

function watched(video) {
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i);
  return Math.min(1, Math.round((100 * seconds) / video.duration) / 100);
}
