// The keyboard of the labelling page. Nothing fires while somebody is writing.

const WRITES = "textarea, input:not([type=radio], [type=checkbox])";
const ACTS = "a, button, summary, video";

export function listen({ submit, showKeys }) {
  document.addEventListener("keydown", (event) => {
    const form = document.getElementById("verdict");
    if (event.defaultPrevented || event.altKey || event.metaKey || !form || form.inert) return;
    if (document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (event.key === "Enter" && event.ctrlKey) return act(event, submit);
    if (event.ctrlKey) return;
    if (target.matches(WRITES)) {
      if (event.key === "Escape") act(event, () => focusTitle(form));
      return;
    }
    const todo = meaning(event.key, form, target, { submit, showKeys });
    if (todo) act(event, todo);
  });
}

function act(event, todo) {
  event.preventDefault();
  todo();
}

function meaning(key, form, target, { submit, showKeys }) {
  const acts = target.matches(ACTS);
  const radio = target.matches("input[type=radio]");
  const choice = form.querySelector(`input[name=verdict][data-key="${CSS.escape(key)}"]`);
  if (choice) return () => choose(choice);
  if (key === "t") return () => choose(form.querySelector("input[value=tie]"));
  if (key === "r" || key === "/") return () => form.querySelector("#rationale").focus();
  if (key === "?") return showKeys;
  if (key === "Enter" && !acts) return submit;
  if (key === " " && !acts && !target.matches("[type=checkbox]") && videos().length) return playBoth;
  // a focused radio group moves by itself, a clip seeks
  if (key === "ArrowLeft" && !radio && !acts) return () => step(form, -1);
  if (key === "ArrowRight" && !radio && !acts) return () => step(form, 1);
  return null;
}

function choose(input) {
  if (!input) return;
  input.checked = true;
  input.focus({ preventScroll: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// One step along the scale, from its middle where nothing is chosen.
function step(form, by) {
  const scale = [...form.querySelectorAll(".scale input")];
  const at = scale.findIndex((input) => input.checked);
  const from = at < 0 ? (scale.length - 1) / 2 : at;
  const to = by < 0 ? Math.ceil(from + by) : Math.floor(from + by);
  choose(scale[Math.max(0, Math.min(scale.length - 1, to))]);
}

function videos() {
  return [...document.querySelectorAll(".answer video")];
}

function playBoth() {
  const all = videos();
  if (all.some((video) => !video.paused && !video.ended)) return all.forEach((video) => video.pause());
  const over = all.every((video) => video.ended);
  const at = over ? 0 : Math.min(...all.map((video) => video.currentTime));
  for (const video of all) {
    if (Math.abs(video.currentTime - at) > 0.05) video.currentTime = at;
    video.play();
  }
}

export function focusTitle(within) {
  within.closest("#card").querySelector(".card-title").focus({ preventScroll: true });
}
