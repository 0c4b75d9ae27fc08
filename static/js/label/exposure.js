// How long the card was before somebody's eyes, which answer could be seen for how long, and how
// much of each clip was played.

export class Exposure {
  constructor(card) {
    this.card = card;
    this.visible = 0;
    this.sides = { a: { ms: 0, on: false }, b: { ms: 0, on: false } };
    this.last = performance.now();
    this.observer = new IntersectionObserver((entries) => this.see(entries), { threshold: 0.5 });
    for (const answer of card.querySelectorAll(".answer")) this.observer.observe(answer);
    this.change = () => this.tick(document.visibilityState !== "visible");
    document.addEventListener("visibilitychange", this.change);
  }

  // Adds the time since the last look; of a hidden page only what came before it was hidden.
  tick(wasVisible = document.visibilityState === "visible") {
    const now = performance.now();
    if (wasVisible) {
      this.visible += now - this.last;
      for (const side of Object.values(this.sides)) if (side.on) side.ms += now - this.last;
    }
    this.last = now;
  }

  see(entries) {
    this.tick();
    for (const entry of entries) {
      const answer = entry.target;
      this.sides[answer.dataset.place].on = entry.isIntersecting;
      const tab = this.card.querySelector(`.side-tabs a[href="#${answer.id}"]`);
      tab?.toggleAttribute("data-on", entry.isIntersecting);
    }
  }

  read() {
    this.tick();
    const seen = { visible_ms: Math.round(this.visible) };
    seen.device = matchMedia("(pointer: coarse)").matches ? "touch" : "pointer";
    for (const [place, side] of Object.entries(this.sides)) {
      seen[place] = { ms: Math.round(side.ms) };
      const video = this.card.querySelector(`.answer[data-place="${place}"] video`);
      if (video?.duration) seen[place].watched = played(video);
    }
    return seen;
  }

  stop() {
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.change);
  }
}

function played(video) {
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i);
  return Math.min(1, Math.round((100 * seconds) / video.duration) / 100);
}
