// The keys on screen: a line at the bottom with the most used ones, and the dialog with all of
// them, where each can be set.

import { fill, gettext } from "../words.js";
import { allActions, applies, keyOf, ownKeys, setOwnKeys } from "./actions.js";
import { namesOf, partsOf } from "./keys.js";
import { post } from "./sending.js";

const HIDDEN = "steelyard.label.no-legend";
const MODIFIERS = ["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Process", "Unidentified"];
const dialog = () => document.getElementById("keys");
let address = "";
let capturing = null; // the button that waits for a key

export function begin(settings) {
  address = settings.urls["label-keys"];
  setOwnKeys(settings.keys);
  const legend = document.getElementById("legend-switch");
  legend.checked = !stored(HIDDEN);
  legend.addEventListener("change", () => {
    store(HIDDEN, legend.checked ? "" : "1");
    showLegend();
  });
  document.getElementById("keys-reset").addEventListener("click", () => set({}));
  dialog().addEventListener("keydown", captured, true);
  dialog().addEventListener("close", () => stopCapturing());
}

export function openList() {
  draw();
  dialog().showModal();
}

// ---- the line at the bottom ----
export function showLegend() {
  const line = document.getElementById("legend");
  line.hidden = Boolean(stored(HIDDEN));
  const scale = allActions().filter((action) => /^verdict\.(a\d|b\d|tie)$/.test(action.id));
  const parts = [[partsOf(keyOf(allActions().find((action) => action.id === "page.keys"))).join(" "), gettext("all keys")]];
  const judged = document.querySelector("#card[data-parting]") ? gettext("judge the part in hand") : gettext("verdict");
  if (scale.length && applies(scale[0])) parts.push([`${keyOf(scale[0])}–${keyOf(scale.at(-1))}`, judged]);
  const said = new Map(); // key → word: what a tool in hand makes of a key stands for its usual meaning
  for (const action of allActions().filter((action) => action.legend && applies(action))) said.set(keyOf(action), action.legend);
  for (const [key, words] of said) parts.push([partsOf(key).join(" "), words]);
  line.replaceChildren(...parts.map(([key, words]) => element("span", {}, element("kbd", {}, key), ` ${words}`)));
}

// ---- the dialog ----
// The rows anew, with the focus where it was.
function draw() {
  const held = document.activeElement;
  const groups = Map.groupBy ? Map.groupBy(shown(), (action) => action.title) : grouped(shown());
  const list = document.getElementById("keys-list");
  list.replaceChildren(
    ...[...groups].map(([title, actions]) =>
      element("section", {}, element("h3", {}, title), element("dl", {}, ...actions.flatMap(row))),
    ),
  );
  document.getElementById("keys-reset").hidden = !Object.keys(ownKeys()).length;
  if (held?.isConnected && held.offsetParent) return;
  const same = [...list.querySelectorAll("button")].find((button) => button.dataset.action === held?.dataset.action);
  (same ?? dialog().querySelector("form button")).focus();
}

function shown() {
  return allActions().filter((action) => !action.hidden && (!action.has || action.has()));
}

function grouped(actions) {
  const groups = new Map();
  for (const action of actions) groups.set(action.title, [...(groups.get(action.title) ?? []), action]);
  return groups;
}

function row(action) {
  const keys = [keyOf(action), ...(action.also ?? [])].flatMap((key, at) => [at ? " " : "", ...partsOf(key).map((part) => element("kbd", {}, part))]);
  if (action.fixed) return [element("dt", {}, ...keys), element("dd", {}, action.label)];
  const label = fill(gettext("%(action)s: set a key of your own"), { action: action.label });
  const button = element("button", { type: "button", class: "plain", "aria-label": `${partsOf(keyOf(action)).join(" ")}, ${label}` }, ...keys);
  button.dataset.action = action.id;
  button.addEventListener("click", () => capture(button, action));
  return [element("dt", {}, button), element("dd", {}, action.label)];
}

function capture(button, action) {
  stopCapturing();
  capturing = { button, action };
  button.replaceChildren(gettext("press a key…"));
  button.dataset.capturing = "";
  problem("");
}

function stopCapturing() {
  capturing = null;
}

function captured(event) {
  if (!capturing || MODIFIERS.includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const { action } = capturing;
  stopCapturing();
  if (event.key === "Escape" || event.key === "Tab") return draw();
  const key = namesOf(event)[0];
  const other = allActions().find((one) => one.id !== action.id && !one.hidden && [keyOf(one), ...(one.also ?? [])].includes(key));
  if (other) {
    draw();
    return problem(fill(gettext("“%(key)s” already does this: %(action)s. Choose another key."), { key: partsOf(key).join(" "), action: other.label }));
  }
  set(key === action.key ? without(ownKeys(), action.id) : { ...ownKeys(), [action.id]: key }, action.id);
}

function without(keys, id) {
  return Object.fromEntries(Object.entries(keys).filter(([name]) => name !== id));
}

async function set(keys) {
  const before = ownKeys();
  setOwnKeys(keys);
  draw();
  showLegend();
  problem("");
  let words = gettext("The server cannot be reached; your keys are as they were.");
  try {
    const response = await post(address, [["keys", JSON.stringify(keys)]]);
    if (response.ok && !response.redirected) return;
    words = (await response.json()).error ?? words;
  } catch {
    // said below
  }
  setOwnKeys(before);
  draw();
  showLegend();
  problem(words);
}

function problem(words) {
  const place = document.getElementById("keys-problem");
  place.textContent = words;
  place.hidden = !words;
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // for this page only
  }
}
