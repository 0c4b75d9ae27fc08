// What keys do on the labelling page. A module says its actions here when it is loaded; the keyboard,
// the list of keys and the person's own keys are all made from them.

const groups = new Map(); // title → actions

// actions: [{id, key, label, when: () => whether it applies now, run}]
export function addActions(title, actions) {
  groups.set(title, [...(groups.get(title) ?? []), ...actions]);
}

export function allActions() {
  return [...groups].flatMap(([title, actions]) => actions.map((action) => ({ title, ...action })));
}
