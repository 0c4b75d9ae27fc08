// The card that is looked at, and those kept ahead with their media loaded.

export const AHEAD = 2;
const LOOK_MS = 150; // before that nobody has seen a card that came up

export class Deck {
  constructor(first) {
    this.current = first;
    this.ahead = [];
    this.exhausted = false; // the server had nothing beyond what is here
    this.judged = new Set(); // pairs that this page has handed in
    this.since = -Infinity; // when the card in view came up
    document.addEventListener("input", () => (this.since = -Infinity)); // who says something has seen it
  }

  // A burst of Enter or of clicks hands in what was in view, not what came up under it.
  get unseen() {
    return performance.now() - this.since < LOOK_MS;
  }

  shown() {
    this.since = performance.now();
  }

  // A fragment of HTML as a card; its pictures and clips begin to load. Null where there is none.
  read(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const found = template.content.querySelector("#card");
    if (!found) return null;
    const card = document.importNode(found, true); // only now does the browser ask for media
    load(card);
    return card;
  }

  // Whether it was new to the page. An answer may be older than what was handed in meanwhile.
  push(card) {
    const { pair } = card.dataset;
    if (!pair || this.judged.has(pair) || this.pairs().includes(pair)) return false;
    this.ahead.push(card);
    return true;
  }

  pairs() {
    return [this.current, ...this.ahead].map((card) => card.dataset.pair).filter(Boolean);
  }

  forget(pairs) {
    this.ahead = this.ahead.filter((card) => !pairs.includes(card.dataset.pair));
  }

  next() {
    this.ahead = this.ahead.filter((card) => !this.judged.has(card.dataset.pair));
    return this.ahead.shift() ?? null;
  }

  put(card) {
    if (card.dataset.pair) this.forget([card.dataset.pair]);
    this.current.replaceWith(card);
    this.current = card;
  }
}

function load(card) {
  for (const image of card.querySelectorAll(".answer-body img, .prompt-body img")) {
    image.loading = "eager";
    image.decode?.().catch(() => {}); // a picture that is broken is seen to be when it is shown
  }
  for (const video of card.querySelectorAll("video")) {
    video.muted = true;
    video.preload = "auto";
  }
}

// The numbers stand in every card, but only the page knows how far it is.
export function count(card, { done, total }) {
  const values = { done, total, nth: done + 1 };
  for (const place of card.querySelectorAll("[data-count]")) place.textContent = values[place.dataset.count];
  const bar = card.querySelector(".progress-line progress");
  if (bar) Object.assign(bar, { max: Math.max(1, total), value: done });
  for (const name of ["done", "total"]) {
    const field = card.querySelector(`#verdict [name=${name}]`);
    if (field) field.value = values[name];
  }
}

export function tell(card, words) {
  card.querySelector(":scope > .message")?.remove();
  if (!words) return;
  const line = document.createElement("p");
  line.className = "message";
  line.setAttribute("role", "alert");
  line.textContent = words;
  card.querySelector(".progress-line").after(line);
}

export function focusTitle(card) {
  card.querySelector(".card-title")?.focus({ preventScroll: true });
}

// A page that is loaded again shows what it showed: an earlier verdict, or what comes next (null too).
export function nameAddress(card) {
  const of = card?.dataset.kind === "amend" ? card.dataset.supersedes : "";
  const address = `${location.pathname}${of ? `?amend=${of}` : ""}`;
  if (address !== location.pathname + location.search) history.replaceState({ back: Boolean(of) }, "", address);
}
