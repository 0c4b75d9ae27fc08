// Verdicts on their way: kept in the browser from the moment of submitting until the server has
// answered, so that neither a dead connection nor a closed page loses one. One entry a verdict,
// known by its UUID; sending it twice stores it once.

const memory = new Map(); // where the browser forbids storage

export class Outbox {
  constructor(project, annotator) {
    this.prefix = `steelyard.verdict.${project}.${annotator}.`;
  }

  keep(uuid, fields) {
    // a form's token is of no use to a later page, which has its own
    const kept = fields.filter(([name]) => name !== "csrfmiddlewaretoken");
    const text = JSON.stringify({ at: Date.now(), fields: kept });
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

  // [{uuid, at, fields, pair}, …], the oldest first
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

  has(uuid) {
    return this.all().some((kept) => kept.uuid === uuid);
  }
}

function entry(uuid, text) {
  const kept = JSON.parse(text);
  const { at, fields } = Array.isArray(kept) ? { at: 0, fields: kept } : kept; // as it was before
  const said = new Map(fields);
  return { uuid, at, fields, pair: said.get("pair"), said };
}
