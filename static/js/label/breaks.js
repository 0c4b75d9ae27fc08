// Offers a break after some time of work, without taking the focus. What was done before the page
// was loaded again counts; a pause of five minutes is a break.

import { fill, ngettext } from "../words.js";

const PAUSE_MS = 5 * 60_000;
const LOOK_MS = 15_000;
const KEY = "steelyard.label.work";
const SIGNS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];

let last = 0; // the last sign of somebody

export function begin(minutes) {
  if (!minutes) return;
  const banner = document.getElementById("break");
  for (const sign of SIGNS) document.addEventListener(sign, () => (last = Date.now()), { passive: true });
  banner.querySelector("button").addEventListener("click", () => {
    banner.hidden = true;
    write({ worked: 0, at: Date.now() });
  });
  setInterval(() => look(banner, minutes), LOOK_MS);
}

function look(banner, minutes) {
  const now = Date.now();
  const { worked, at } = read();
  if (now - at > PAUSE_MS) {
    banner.hidden = true;
    return write({ worked: 0, at: last > at ? now : at });
  }
  if (now - last > 2 * LOOK_MS) return; // nobody is there
  const sum = worked + Math.min(now - at, LOOK_MS);
  write({ worked: sum, at: now });
  if (sum < minutes * 60_000 || !banner.hidden) return;
  const words = ngettext(
    "You have worked for %(n)s minute. A short break keeps verdicts good; everything is kept.",
    "You have worked for %(n)s minutes. A short break keeps verdicts good; everything is kept.",
    minutes,
  );
  banner.querySelector("p").textContent = fill(words, { n: minutes });
  banner.hidden = false;
}

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (kept) return kept;
  } catch {
    // a page without storage counts from its beginning
  }
  return memory ?? { worked: 0, at: Date.now() };
}

let memory = null;

function write(state) {
  memory = state;
  try {
    sessionStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    // memory has it
  }
}
