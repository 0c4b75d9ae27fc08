// Two answers as they are written, then a verdict by key or click. The page asks a few times a
// second: a stream held open would keep one of the server's few threads for each reader.

import { gettext } from "../words.js";

const OFTEN = 300; // ms, while something is being written
const SELDOM = 1000; // while the engine starts, or after a request that failed
const WRITES = "textarea, input, select, [contenteditable]";

const battle = () => document.querySelector("#battle");
const say = (words) => {
  document.querySelector("#arena-say").textContent = words;
};

function write(side, piece) {
  const place = battle().querySelector(`[data-side="${side}"]`);
  if (!place) return;
  const had = place.textContent;
  if (piece.from < had.length) place.textContent = had.slice(0, piece.from);
  if (piece.text) place.append(piece.text);
  if (piece.state !== "waiting") place.setAttribute("aria-busy", "false");
}

function had(side) {
  return battle().querySelector(`[data-side="${side}"]`)?.textContent.length ?? 0;
}

async function ask() {
  const address = new URL(battle().dataset.answers, location.href);
  address.searchParams.set("left", had("left"));
  address.searchParams.set("right", had("right"));
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (answer.status === 404) location.reload(); // closed to us meanwhile
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function follow() {
  let wait = SELDOM;
  try {
    const said = await ask();
    write("left", said.left);
    write("right", said.right);
    const place = battle().querySelector("[data-wait]");
    if (place && place.textContent !== said.wait) place.textContent = said.wait;
    if (said.state !== "waiting") return void (await finish(said.state));
    wait = said.wait ? SELDOM : OFTEN;
  } catch {
    const place = battle().querySelector("[data-wait]");
    if (place) place.textContent = gettext("The server cannot be reached; it is asked again.");
  }
  setTimeout(follow, wait);
}

// The server renders what is whole: its Markdown, and the verdict's buttons below.
async function finish(state) {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("#battle");
  if (!answer.ok || !fresh) return location.reload();
  battle().replaceWith(fresh);
  if (document.querySelector(".math")) import("../label/math.js").then(({ renderMath }) => renderMath(document));
  say(state === "failed" ? gettext("An answer is missing.") : gettext("Both answers are here. Which is better?"));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.repeat) return;
  const send = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  const form = event.target.closest?.("form.further");
  if (send && form) {
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.(WRITES)) return;
  const button = battle().querySelector(`#verdict button[data-key="${CSS.escape(event.key)}"]`);
  const next = event.key === "n" && battle().querySelector("[data-next]");
  if (!button && !next) return;
  event.preventDefault();
  (button || next).click();
});

// One vote a battle: the second click of a double click is none.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

if (battle().dataset.state === "waiting") follow();
document.querySelector("#revealed")?.focus({ preventScroll: false });
