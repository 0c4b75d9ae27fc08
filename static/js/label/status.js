// What became of the last verdict, and how fast it goes.

const RECENT = 10;
let state = null; // {name, at, words}
const handedIn = [];

export function saved() {
  state = { name: "saved", at: Date.now() };
  say("Saved.");
  show();
}

export function sending() {
  state = { name: "sending" };
  show();
}

// words: why, to begin a sentence with
export function waiting(words) {
  if (state?.words !== words) say(`Not saved yet: ${words}. Trying again.`);
  state = { name: "waiting", words };
  show();
}

export function told(words) {
  state = { name: "told", words };
  show();
}

function show() {
  const place = document.getElementById("save-state");
  if (!state || !place) return;
  place.dataset.state = state.name;
  place.textContent = {
    saved: () => `✓ saved ${ago((Date.now() - state.at) / 1000)}`,
    sending: () => "saving…",
    waiting: () => `⚠ not saved yet: ${state.words}; trying again`,
    told: () => state.words,
  }[state.name]();
}

function say(words) {
  const place = document.getElementById("save-say");
  if (place) place.textContent = words;
}

function ago(seconds) {
  if (seconds < 2) return "just now";
  return seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`;
}

// Verdicts a minute over the last few, and the time left at that pace.
export function pace(left) {
  handedIn.push(Date.now());
  if (handedIn.length > RECENT) handedIn.shift();
  const place = document.getElementById("pace");
  const span = (handedIn.at(-1) - handedIn[0]) / 60000;
  if (!place || handedIn.length < 4 || span <= 0) return;
  const rate = (handedIn.length - 1) / span;
  const words = [`${rate.toFixed(1)}/min`];
  if (left > 0) words.push(`about ${minutes(left / rate)} left`);
  place.textContent = words.join(" · ");
}

function minutes(value) {
  const whole = Math.max(1, Math.round(value));
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

setInterval(show, 1000);
