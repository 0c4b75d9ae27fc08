// One's last verdicts, so that they can be brought back: the newest last.

const MOST = 20;

export class Past {
  constructor(project, annotator) {
    this.key = `steelyard.past.${project}.${annotator}`;
    this.uuids = this.read();
  }

  read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  }

  write() {
    this.uuids = this.uuids.slice(-MOST);
    try {
      localStorage.setItem(this.key, JSON.stringify(this.uuids));
    } catch {
      // it is known until the page is closed
    }
  }

  // Its place among them, or that of the verdict that it supersedes.
  add(uuid, superseded = "") {
    this.uuids = this.read().length ? this.read() : this.uuids; // another tab may have added some
    const at = this.uuids.indexOf(superseded);
    if (at >= 0) this.uuids[at] = uuid;
    else this.uuids.push(uuid);
    this.write();
  }

  remove(uuid) {
    this.uuids = this.uuids.filter((other) => other !== uuid);
    this.write();
  }
}
