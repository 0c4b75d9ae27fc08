// What every page does: times that stay true, messages that can be closed, and a word when a
// request of htmx fails instead of a fragment that silently stays as it was.

import { addDismiss, clear, show } from "./messages.js";
import { holdAnswersWhilePressed } from "./press.js";
import { refreshTimes } from "./times.js";
import { fill, gettext } from "./words.js";

const OFFLINE = gettext("The server cannot be reached. What you see may be out of date; it is tried again.");
const LEAVING = 10_000; // ms

// The library for formulas is fetched by pages that have one.
function setFormulas() {
  if (document.querySelector(".math")) import("./label/math.js").then(({ renderMath }) => renderMath(document));
}

function whatWentWrong(status) {
  if (status === 403) return gettext("That was refused. Reload the page and try again.");
  if (status === 404) return gettext("That is not there any more. Reload the page.");
  if (status >= 500) return gettext("The server failed on that. It was not your input; try again, or ask an operator to read the log.");
  return fill(gettext("That did not work (status %(status)s). Reload the page and try again."), { status });
}

// The server says where its own errors belong (HX-Retarget), and 422 is a form with its errors
// marked. Any other failure must not land in the fragment's place.
document.addEventListener("htmx:response:error", (event) => {
  const { ctx } = event.detail;
  if (ctx.hx?.retarget || ctx.response.status === 422) return;
  ctx.hx.reswap = "none";
  show(whatWentWrong(ctx.response.status));
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && !event.detail.ctx.response) show(OFFLINE);
});
document.addEventListener("htmx:after:request", () => clear(OFFLINE));
// A page that somebody leaves is not loaded anew: that would call off where they go. A download is
// no leaving, so it counts for a while only; the page asks again by itself.
let leaving = -Infinity;
addEventListener("beforeunload", () => (leaving = performance.now()));
document.addEventListener("htmx:before:response", (event) => {
  const anew = event.detail.ctx.hx?.refresh === "true";
  if (anew && performance.now() - leaving < LEAVING) event.preventDefault();
});
// What somebody has opened or closed stays so where a fragment is fetched again and again.
window.htmx?.config.morphIgnore.push("open");
document.addEventListener("htmx:after:swap", () => {
  refreshTimes();
  addDismiss();
  setFormulas();
});

for (const button of document.querySelectorAll("[data-theme-switch]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme ?? (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // storage is closed to us: the choice lasts for this page
    }
  });
}

// A menu closes by Escape and by a click elsewhere, as menus do.
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector(".account-menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("click", (event) => {
  const menu = document.querySelector(".account-menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});

// What cannot be taken back asks once: <button data-ask="Revoke the token x?">.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.ask;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, { capture: true });

// A chart is kept as a file: what draws it is fetched when somebody asks.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-chart-as]");
  if (button) import("./charts.js").then(({ keepChart }) => keepChart(button));
});

holdAnswersWhilePressed();
addDismiss();
refreshTimes();
setFormulas();
setInterval(refreshTimes, 20_000);
