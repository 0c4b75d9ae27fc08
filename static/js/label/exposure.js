// How long the card was before somebody's eyes, which answer could be seen for how long, how much
// of each clip was played and how often, and whether a picture was looked at closely (the tools set
// data-zoomed on its answer).

export class Exposure {
  // before: the exposure of the same card before it was set aside
  constructor(card, before) {
    this.card = card;
    this.visible = before?.visible ?? 0;
    this.sides = before?.sides ?? { a: side(), b: side() };
    for (const side of Object.values(this.sides)) side.on = false;
    this.last = performance.now();
    this.ending = new AbortController();
    const options = { signal: this.ending.signal, capture: true }; // media events do not bubble
    this.observer = new IntersectionObserver((entries) => this.see(entries), { threshold: 0.5 });
    for (const answer of card.querySelectorAll(".answer")) this.observer.observe(answer);
    document.addEventListener("visibilitychange", () => this.tick(document.visibilityState !== "visible"), options);
    card.addEventListener("play", (event) => this.played(event, "plays"), options);
    card.addEventListener("seeked", (event) => this.played(event, "seeks"), options);
  }

  played(event, what) {
    const place = event.target.closest(".answer")?.dataset.place;
    if (place) this.sides[place][what] += 1;
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
      if (entry.isIntersecting) tab?.setAttribute("aria-current", "true");
      else tab?.removeAttribute("aria-current");
    }
  }

  read() {
    this.tick();
    const seen = { visible_ms: Math.round(this.visible), width: innerWidth, height: innerHeight };
    seen.device = matchMedia("(pointer: coarse)").matches ? "touch" : "pointer";
    for (const [place, side] of Object.entries(this.sides)) {
      seen[place] = { ms: Math.round(side.ms) };
      const answer = this.card.querySelector(`.answer[data-place="${place}"]`);
      if (answer && "zoomed" in answer.dataset) seen[place].zoomed = true;
      const video = answer?.querySelector("video");
      if (video?.duration) {
        // the tools of clips count what the person did; a clip alone tells all that happened to it
        const { plays = side.plays, seeks = side.seeks } = answer.dataset;
        Object.assign(seen[place], { watched: watched(video), plays: Number(plays), seeks: Number(seeks) });
      }
    }
    return seen;
  }

  stop() {
    this.tick();
    this.ending.abort();
    this.observer.disconnect();
  }
}

function side() {
  return { ms: 0, on: false, plays: 0, seeks: 0 };
}

function watched(video) {
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i);
  return Math.min(1, Math.round((100 * seconds) / video.duration) / 100);
}
