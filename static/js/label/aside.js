// What stands around the answers: the prompt, folded or not, and the guidelines.

import { focusTitle } from "./cards.js";

const FOLDED = "steelyard.label.prompt";

// As the last card had it.
export function keepFolded(card) {
  const prompt = card.querySelector(".prompt");
  try {
    if (prompt && sessionStorage.getItem(FOLDED)) prompt.open = false;
  } catch {
    // it is open
  }
}

export function fold(card) {
  const prompt = card.querySelector(".prompt");
  prompt.open = !prompt.open;
  try {
    sessionStorage.setItem(FOLDED, prompt.open ? "" : "folded");
  } catch {
    // for this card only
  }
}

export function guidelines(card) {
  const place = document.querySelector(".guidelines");
  place.open = !place.open;
  if (place.open) place.querySelector(".prose").focus({ preventScroll: true });
  else focusTitle(card);
}
