// Verdicts, flags and answers in training on their way: kept in the browser from the moment of submitting until the server has
// answered, so that neither a dead connection nor a closed page loses one. One entry a verdict,
// known by its UUID; sending it twice stores it once.

const memory = new Map(); // where the browser forbids storage

export class Outbox {
  // tab: a name for this page, held as a lock while it lives, so that other pages of the same
  // person know whose verdicts are looked after and whose were left behind
  constructor(project, annotator, tab, what = "verdict") {
    this.prefix = `steelyard.${what}.${project}.${annotator}.`;
    this.tab = tab;
    navigator.locks?.request(this.nameOf(tab), () => new Promise(() => {}));
  }

  nameOf(tab) {
    return `steelyard.tab.${tab}`;
  }

  // The oldest that is this page's to send: its own, or one whose page is gone.
  async next() {
    const all = this.all();
    if (all.every((entry) => entry.tab === this.tab)) return all[0];
    const { held } = (await navigator.locks?.query()) ?? { held: [] };
    const alive = new Set(held.map((lock) => lock.name));
    return all.find((entry) => entry.tab === this.tab || !alive.has(this.nameOf(entry.tab)));
  }

  // Calls back with the UUID of a verdict that another page has got rid of.
  onGone(call) {
    addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(this.prefix) && newValue === null) call(key.slice(this.prefix.length));
    });
  }

  keep(uuid, fields) {
    // a form's token is of no use to a later page, which has its own
    const kept = fields.filter(([name]) => name !== "csrfmiddlewaretoken");
    const text = JSON.stringify({ at: Date.now(), tab: this.tab, fields: kept });
    try {
      localStorage.setItem(this.prefix + uuid, text);
    } catch {
      memory.set(this.prefix + uuid, text);
    }
  }

  drop(uuid) {
    memory.delete(this.prefix + uuid);
    try {
      localStorage.removeItem(this.prefix + uuid);
    } catch {
      // it was never there
    }
  }

  // [{uuid, at, tab, fields, said, pair}, …], the oldest first
  all() {
    const found = new Map(memory);
    try {
      for (const key of Object.keys(localStorage)) found.set(key, localStorage.getItem(key));
    } catch {
      // memory is all there is
    }
    return [...found]
      .filter(([key]) => key.startsWith(this.prefix))
      .map(([key, text]) => entry(key.slice(this.prefix.length), text))
      .sort((one, other) => one.at - other.at);
  }

  // Those given in this page.
  mine() {
    return this.all().filter((entry) => entry.tab === this.tab);
  }

  has(uuid) {
    return this.all().some((kept) => kept.uuid === uuid);
  }
}

function entry(uuid, text) {
  const kept = JSON.parse(text);
  const { at, tab, fields } = Array.isArray(kept) ? { at: 0, fields: kept } : kept; // as it was before
  const said = new Map(fields);
  return { uuid, at, tab, fields, pair: said.get("pair"), said };
}
