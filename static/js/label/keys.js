// The keyboard of the labelling page. Nothing fires while somebody is writing, but what says so.

import { allActions, applies, keyOf } from "./actions.js";

const WRITES = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range], [type=button])";
const ACTS = "a, button, summary, [role=button], [role=switch], video[controls]";
const MOVES = "input[type=radio]:not([name=verdict]), input[type=range], [role=slider], [role=scrollbar], video[controls]";
const WAITS = ["page.keys", "page.undo"]; // what works while a verdict is on its way and nothing else is here
const TICKS = "input[type=checkbox]";
const WAYS = /^(Arrow|Home|End|Page)/;

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.metaKey) return;
    if (document.querySelector("dialog[open]") || event.target.closest?.("dialog")) return;
    const action = meaning(event);
    if (!action) return;
    event.preventDefault(); // a held key too: Enter on a choice would send the form
    if (!event.repeat || !action.once) action.run(event);
  });
}

function meaning(event) {
  const target = event.target;
  const writes = target.matches(WRITES);
  const names = namesOf(event);
  if (!writes && belongsTo(target, event)) return null;
  const waits = document.querySelector("form#verdict:not([hidden])")?.inert;
  const able = allActions().filter((action) => (!waits || WAITS.includes(action.id)) && (!writes || action.writing) && applies(action));
  for (const name of names) {
    const found = able.find((action) => keyOf(action) === name) ?? able.find((action) => action.also?.includes(name));
    if (found) return found;
  }
  return null;
}

// A link follows Enter and a slider its arrows, whatever they mean elsewhere.
export function belongsTo(target, event) {
  if (event.ctrlKey || event.altKey) return false;
  if (event.key === "Enter") return target.matches(ACTS);
  if (event.key === " ") return target.matches(`${ACTS}, ${TICKS}`);
  return WAYS.test(event.key) && target.matches(MOVES);
}

// How the key may be called, the likeliest first: as it is written, with its modifiers, and by its
// place where the keyboard writes other digits or letters there.
export function namesOf(event) {
  const held = `${event.ctrlKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}`;
  const { key, code = "" } = event;
  const named = key.length > 1 || key === " ";
  const names = [held + (event.shiftKey && named ? "Shift+" : "") + key];
  if (!event.shiftKey && /^[A-Z]$/.test(key)) names.push(held + key.toLowerCase());
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  if (digit) names.push(`${held}${event.shiftKey ? "Shift+" : ""}${digit}`);
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter && key > "\x7f") names.push(held + (event.shiftKey ? letter : letter.toLowerCase()));
  return names;
}

const WORDS = { Enter: "⏎", " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

// A key's name for people, its parts apart.
export function partsOf(key) {
  const parts = key.length > 1 ? key.split(/\+(?=.)/) : [key];
  return parts.map((part) => WORDS[part] ?? part);
}
