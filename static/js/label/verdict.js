// The verdict bar: its keys, and what can be said to be missing before anything is sent.

import { fill, gettext, ngettext } from "../words.js";
import { addActions, allActions, keyOf } from "./actions.js";
import { focusTitle } from "./cards.js";
import { readEvidence } from "./evidence.js";
import { partsOf } from "./keys.js";

const form = () => document.querySelector("form#verdict:not([hidden])");
const open = () => Boolean(form() && !form().inert);
const skips = () => form()?.querySelector("input[value=skip]")?.checked ?? false;
const within = (place) => document.activeElement?.closest(place) ?? null;
const judging = () => open() && !choosingSkip() && !within(".tags") && !within(".aspect");
const amending = () => form().closest("#card").dataset.kind === "amend"; // Esc leaves it as it was given
const choosingSkip = () => skips() && form().querySelector(".skip-reasons") !== null;

function choose(input) {
  if (!input) return;
  input.checked = true;
  input.focus({ preventScroll: true });
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// One step along the scale, from its middle where nothing is chosen.
function step(by) {
  const scale = [...form().querySelectorAll(".scale input")];
  const at = scale.findIndex((input) => input.checked);
  const from = at < 0 ? (scale.length - 1) / 2 : at;
  const to = by < 0 ? Math.ceil(from + by) : Math.floor(from + by);
  choose(scale[Math.max(0, Math.min(scale.length - 1, to))]);
}

function focusAspect(number) {
  const groups = [...form().querySelectorAll(".aspect")];
  const group = groups[number];
  if (!group) return focusTitle(form().closest("#card"));
  (group.querySelector(":checked") ?? group.querySelectorAll("input")[Math.floor(group.querySelectorAll("input").length / 2)]).focus();
}

function nextAspect() {
  const groups = [...form().querySelectorAll(".aspect")];
  focusAspect(groups.indexOf(within(".aspect")) + 1);
}

function sayAspect(number) {
  const input = within(".aspect").querySelectorAll("input")[number];
  if (!input) return;
  choose(input);
  nextAspect();
}

function leave() {
  if (choosingSkip() && !amending()) {
    const skip = form().querySelector("input[value=skip]");
    skip.checked = false;
    for (const reason of form().querySelectorAll("[name=skip_reason]")) reason.checked = false;
    skip.dispatchEvent(new Event("input", { bubbles: true }));
  }
  focusTitle(form().closest("#card"));
}

function correct() {
  const place = form().querySelector(".correction");
  place.open = true;
  place.querySelector("textarea").focus();
}

// choices: [{value, key, label}], the whole bar from left to right
export function addVerdictActions(choices, submit) {
  const scale = choices.filter(({ value }) => !["both_bad", "skip"].includes(value));
  const choice = (value) => form()?.querySelector(`.choices input[value="${value}"]`);
  addActions(gettext("Verdict"), [
    ...scale.map(({ value, key, label }) => ({
      id: `verdict.${value}`,
      key,
      label,
      when: judging,
      run: () => choose(choice(value)),
    })),
    { id: "verdict.left", key: "ArrowLeft", label: gettext("one step towards A"), when: open, run: () => step(-1) },
    { id: "verdict.right", key: "ArrowRight", label: gettext("one step towards B"), when: open, run: () => step(1) },
    { id: "verdict.tie-letter", key: "t", label: gettext("tie"), legend: gettext("tie"), has: () => choice("tie"), when: () => open() && choice("tie"), run: () => choose(choice("tie")) },
    { id: "verdict.both-bad", key: "0", label: gettext("both bad"), legend: gettext("both bad"), has: () => choice("both_bad"), when: () => open() && choice("both_bad"), run: () => choose(choice("both_bad")) },
    { id: "verdict.skip", key: "s", label: gettext("skip: leave the pair to others; a number gives a reason"), legend: gettext("skip"), has: () => choice("skip"), when: () => open() && choice("skip"), run: () => choose(choice("skip")) },
    { id: "verdict.submit", key: "Enter", label: gettext("submit"), legend: gettext("submit"), once: true, when: open, run: submit },
    { id: "verdict.submit-writing", key: "Ctrl+Enter", label: gettext("submit while writing"), once: true, writing: true, when: open, run: submit },
  ]);
  addActions(gettext("Why"), [
    { id: "why.rationale", key: "r", also: ["/"], label: gettext("write why"), legend: gettext("why"), has: () => form()?.querySelector("#rationale"), when: () => open() && form().querySelector("#rationale"), run: () => form().querySelector("#rationale").focus() },
    { id: "why.tags", key: "w", label: gettext("reasons: then their numbers, Esc leaves"), legend: gettext("reasons"), has: () => form()?.querySelector(".tags"), when: () => open() && form().querySelector(".tags"), run: () => form().querySelector(".tags input").focus() },
    { id: "why.aspects", key: "q", label: gettext("aspects: then the number of a step for each"), legend: gettext("aspects"), has: () => form()?.querySelector(".aspect"), when: () => open() && form().querySelector(".aspect"), run: nextAspect },
    { id: "why.correction", key: "c", label: gettext("write a better answer"), legend: gettext("better answer"), has: () => form()?.querySelector(".correction"), when: () => open() && form().querySelector(".correction"), run: correct },
    { id: "why.leave", key: "Escape", label: gettext("leave a field, a choice of reasons, a skip"), fixed: true, writing: true, when: () => open() && ((choosingSkip() && !amending()) || leavable()), run: leave },
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((n) => [
      { id: `why.aspect.${n}`, key: `Shift+${n}`, label: fill(gettext("aspect %(n)s"), { n }), hidden: true, when: () => open() && form().querySelectorAll(".aspect").length >= n, run: () => focusAspect(n - 1) },
      { id: `why.aspect-step.${n}`, key: String(n), hidden: true, when: () => open() && within(".aspect"), run: () => sayAspect(n - 1) },
      { id: `why.tag.${n}`, key: String(n), hidden: true, when: () => open() && within(".tags") && form().querySelectorAll(".tags input")[n - 1], run: () => form().querySelectorAll(".tags input")[n - 1].click() },
      { id: `why.skip.${n}`, key: String(n), hidden: true, when: () => open() && choosingSkip() && form().querySelectorAll("[name=skip_reason]")[n - 1], run: () => choose(form().querySelectorAll("[name=skip_reason]")[n - 1]) },
    ]),
  ]);
}

// Something within the form has the focus, other than the choice itself.
function leavable() {
  const focused = document.activeElement;
  return Boolean(focused && form().contains(focused) && focused.name !== "verdict");
}

// ---- what is missing ----

// [[field, words]]: all of it at once
export function missing(settings) {
  const here = form();
  const chosen = here.querySelector("[name=verdict]:checked");
  const found = chosen ? [] : [["verdict", gettext("Choose a verdict first.")]];
  if (here.elements.namedItem("training")) return found;
  const field = here.querySelector("#rationale");
  const rationale = [...(field?.value.trim() ?? "")].length;
  const least = settings.rationale_min;
  const most = Number(field?.dataset.most ?? Infinity);
  if (rationale > most) found.push(["rationale", fill(gettext("The rationale has %(n)s characters; at most %(most)s are kept. Shorten it; nothing is cut off."), { n: rationale, most })]);
  if (chosen?.value === "skip") return found;
  if (settings.rationale_required && !rationale) {
    const why = gettext("Say why: this project asks for a rationale with every verdict.");
    const length = ngettext("It has at least %(least)s character.", "It has at least %(least)s characters.", least);
    found.push(["rationale", least > 1 ? `${why} ${fill(length, { least })}` : why]);
  } else if (rationale && rationale < least) {
    const words = ngettext(
      "Say a little more: a rationale here has at least %(least)s character.",
      "Say a little more: a rationale here has at least %(least)s characters.",
      least,
    );
    found.push(["rationale", fill(words, { least })]);
  }
  if (settings.evidence === "required" && !readEvidence(here).length) {
    found.push(["evidence", gettext("Mark what decides it: this project asks for evidence with every verdict.")]);
  }
  return found;
}

export function showErrors(errors) {
  for (const place of form().querySelectorAll("[data-error-of]")) {
    const found = errors.find(([name]) => name === place.dataset.errorOf);
    place.hidden = !found;
    place.textContent = found?.[1] ?? "";
    const field = form().querySelector(`textarea#${place.dataset.errorOf}`);
    if (found) field?.setAttribute("aria-invalid", "true");
    else field?.removeAttribute("aria-invalid");
  }
  if (errors[0]) form().querySelector(`textarea#${errors[0][0]}`)?.focus();
}

// On a phone the bar is higher while somebody writes. A tap takes the focus away before it is a click:
// until then the bar stays as it is, or the button would be gone from under the finger.
function holdStill(bar) {
  let later = 0;
  const end = (ms) => {
    clearTimeout(later);
    later = setTimeout(() => bar.removeAttribute("data-held"), ms);
  };
  bar.addEventListener("pointerdown", () => {
    clearTimeout(later);
    bar.toggleAttribute("data-held", Boolean(bar.querySelector("textarea:focus, .evidence :focus")));
  });
  bar.addEventListener("pointerup", () => end(2000)); // a busy phone is late in making a click of it
  bar.addEventListener("pointercancel", () => end(0));
  bar.addEventListener("click", () => end(0));
}

// The counter of a rationale that has to be of some length, and the buttons of a correction.
export function attachBar(card) {
  const bar = card.querySelector("form#verdict:not([hidden])");
  if (!bar) return;
  holdStill(bar);
  for (const key of bar.querySelectorAll(".choice kbd[data-action]")) {
    const action = allActions().find((one) => one.id === key.dataset.action);
    key.textContent = action ? partsOf(keyOf(action)).join(" ") : "";
    key.hidden = !action;
  }
  const counter = bar.querySelector("#rationale-count");
  const rationale = bar.querySelector("#rationale");
  const recount = () => {
    const n = [...rationale.value.trim()].length;
    const least = Number(counter.dataset.min);
    const most = Number(rationale.dataset.most);
    const near = n > 0.9 * most;
    counter.hidden = !near && !least;
    if (near) counter.textContent = fill(gettext("%(n)s of at most %(most)s characters"), { n, most });
    else counter.textContent = fill(n < least ? gettext("%(n)s of at least %(least)s characters") : gettext("%(n)s characters"), { n, least });
    counter.toggleAttribute("data-enough", least > 0 && n >= least && n <= most);
  };
  if (counter) {
    rationale.addEventListener("input", recount);
    recount();
  }
  bar.addEventListener("input", () => bar.querySelector("[data-error-of]:not([hidden])") && showErrors([]));
  for (const button of bar.querySelectorAll("[data-start-from]")) {
    button.addEventListener("click", () => {
      const field = bar.querySelector("#correction");
      field.value = card.querySelector(`.answer[data-place="${button.dataset.startFrom}"]`).dataset.source;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    });
  }
}
