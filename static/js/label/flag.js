// Tells the project's owner that something is wrong with the pair.

import { gettext } from "../words.js";
import { post } from "./sending.js";
import * as status from "./status.js";

const dialog = () => document.getElementById("flag");

export function begin(address, pair) {
  const form = document.getElementById("flag-form");
  dialog().querySelector("[data-close]").addEventListener("click", () => dialog().close());
  dialog().addEventListener("keydown", (event) => {
    const writes = event.target.matches("textarea");
    if (event.key === "Enter" && event.ctrlKey) return form.requestSubmit();
    const choice = !writes && /^[1-9]$/.test(event.key) && form.querySelectorAll("[name=reason]")[event.key - 1];
    if (!choice) return;
    choice.checked = true;
    choice.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    raise(form, address, pair());
  });
}

export function openFlag() {
  const form = document.getElementById("flag-form");
  form.reset();
  form.dataset.uuid = newUuid();
  problem("");
  dialog().showModal();
}

async function raise(form, address, pair) {
  const fields = [...new FormData(form), ["pair", pair], ["uuid", form.dataset.uuid]];
  let words = gettext("The flag did not reach the server. Try again.");
  try {
    const response = await post(address, fields);
    if (response.ok && !response.redirected) {
      dialog().close();
      return status.told(gettext("Flagged. You may judge the pair all the same, or skip it."));
    }
    words = (await response.json()).error ?? words;
  } catch {
    // said below
  }
  problem(words);
}

function problem(words) {
  const place = document.getElementById("flag-problem");
  place.textContent = words;
  place.hidden = !words;
}

// crypto.randomUUID is there in a secure context only, random values are everywhere.
export function newUuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
