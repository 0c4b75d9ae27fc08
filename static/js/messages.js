// The strip of messages under the header: one line for what went wrong, and a way to close it.

import { gettext } from "./words.js";

const strip = () => document.getElementById("messages");

export function show(text, kind = "bad") {
  const box = strip();
  if (!box || [...box.children].some((p) => p.dataset.text === text)) return;
  const line = document.createElement("p");
  line.className = `message ${kind}`;
  line.dataset.text = text;
  line.textContent = text;
  box.append(line);
  addDismiss(box);
}

export function clear(text) {
  for (const line of strip()?.children ?? []) if (line.dataset.text === text) line.remove();
}

export function addDismiss(root = document) {
  for (const line of root.querySelectorAll(".message:not(:has(.dismiss))")) {
    if (!line.closest("#messages")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain dismiss";
    button.textContent = "✕";
    button.setAttribute("aria-label", gettext("Dismiss this message"));
    button.addEventListener("click", () => line.remove());
    line.prepend(button);
  }
}
