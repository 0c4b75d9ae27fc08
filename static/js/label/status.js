// What became of the last verdict, and how fast it goes.

import { fill, gettext, ngettext } from "../words.js";

const RECENT = 10;
let state = null; // {name, at, words, count}
const handedIn = [];

export function saved() {
  state = { name: "saved", at: Date.now() };
  say(gettext("Saved."));
  show();
}

export function sending(count) {
  state = { name: "sending", count };
  say("");
  show();
}

// words: why, in the middle of a sentence; count: verdicts that wait
export function waiting(words, count) {
  const told = fill(gettext("Not saved yet: %(why)s. Trying again."), { why: words });
  if (state?.words !== words) say(told);
  state = { name: "waiting", words, count };
  show();
}

// Anything else, said and shown until the next thing happens.
export function told(words) {
  state = { name: "told", words };
  say(words);
  show();
}

function show() {
  const place = document.getElementById("save-state");
  if (!state || !place) return;
  place.dataset.state = state.name;
  const words = {
    saved: () => `✓ ${fill(gettext("saved %(ago)s"), { ago: ago((Date.now() - state.at) / 1000) })}`,
    sending: () => gettext("saving…"),
    waiting: () => `⚠ ${waits(state.count)} ${state.words}; ${gettext("trying again")}`,
    told: () => state.words,
  }[state.name]();
  if (place.textContent !== words) place.textContent = words;
}

function waits(count) {
  if (count < 2) return gettext("not saved yet:");
  return fill(ngettext("%(count)s verdict not saved yet:", "%(count)s verdicts not saved yet:", count), { count });
}

function say(words) {
  const place = document.getElementById("save-say");
  if (place) place.textContent = words;
}

function ago(seconds) {
  if (seconds < 2) return gettext("just now");
  if (seconds < 60) return fill(gettext("%(n)s s ago"), { n: Math.floor(seconds) });
  return fill(gettext("%(n)s min ago"), { n: Math.floor(seconds / 60) });
}

// Verdicts a minute over the last few, and the time left at that pace.
export function pace(left) {
  handedIn.push(Date.now());
  if (handedIn.length > RECENT) handedIn.shift();
  const place = document.getElementById("pace");
  const span = (handedIn.at(-1) - handedIn[0]) / 60000;
  if (!place || handedIn.length < 4 || span <= 0) return;
  const rate = (handedIn.length - 1) / span;
  const words = [fill(gettext("%(rate)s/min"), { rate: rate.toFixed(1) })];
  if (left > 0) words.push(fill(gettext("about %(time)s left"), { time: minutes(left / rate) }));
  place.textContent = words.join(" · ");
}

function minutes(value) {
  const whole = Math.max(1, Math.round(value));
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

setInterval(show, 1000);
