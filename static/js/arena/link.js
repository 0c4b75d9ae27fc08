// The invitation is copied with one press where the browser lets a page do so.

import { gettext } from "../words.js";

const button = document.querySelector("[data-copy]");
if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).value);
    button.textContent = gettext("Copied");
  });
}
