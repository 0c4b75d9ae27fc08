// What keys do on the labelling page. A module says its actions here when it is loaded; the keyboard,
// the list of keys and the person's own keys are all made from them.

const groups = new Map(); // title → actions
let own = {}; // action id → the key that the person has set

// actions: [{id, key, label, when, run}] with `key` as in KeyboardEvent.key, "Shift+" or "Ctrl+"
// before it where it is held with it; when: () => whether it applies now; run: (event) => …
// Besides: also: [keys that do the same], legend: a word for the line at the bottom, once: not again
// while the key is held, writing: also while somebody writes, fixed: the key cannot be changed,
// has: () => whether the page has what it acts on, now or at another moment; else it is not listed.
export function addActions(title, actions) {
  groups.set(title, [...(groups.get(title) ?? []), ...actions]);
}

export function allActions() {
  return [...groups].flatMap(([title, actions]) => actions.map((action) => ({ title, ...action })));
}

export function keyOf(action) {
  return own[action.id] ?? action.key;
}

export function ownKeys() {
  return { ...own };
}

export function setOwnKeys(keys) {
  own = { ...keys };
}

export function applies(action) {
  return Boolean(!action.when || action.when());
}
