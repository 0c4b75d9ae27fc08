// One picture of a card and the sheets on which it is shown: in its own pane, in the other's place
// while flickering, and on the stage with the divider.

export class Picture {
  constructor(pane) {
    this.pane = pane; // the window of its own
    this.side = pane.dataset.place;
    this.image = pane.querySelector("img");
    this.full = this.image.dataset.full;
    this.pixelated = this.image.classList.contains("pixelated");
    this.loading = null;
    this.sheets = [];
    this.take(pane.querySelector(".sheet"));
  }

  take(sheet) {
    sheet.dataset.side = this.side;
    sheet.append(Object.assign(document.createElement("span"), { className: "evidence-boxes" }));
    this.sheets.push(sheet);
    return sheet;
  }

  // As it was before: a card that is set aside may come back.
  stop() {
    for (const sheet of this.sheets.slice(1)) sheet.remove();
    this.sheets[0].querySelector(".evidence-boxes").remove();
    this.sheets[0].removeAttribute("style");
  }

  // Another sheet with the same picture.
  copy() {
    const sheet = document.createElement("div");
    sheet.className = "sheet";
    const image = this.image.cloneNode();
    sheet.append(image);
    return this.take(sheet);
  }

  // Sizes as the server knows them, turned as the browser turns a photograph held on its side.
  measure() {
    const { naturalWidth, naturalHeight } = this.image;
    const said = [Number(this.image.getAttribute("width")), Number(this.image.getAttribute("height"))];
    if (!said[0] || !said[1]) [this.width, this.height] = [naturalWidth || 1, naturalHeight || 1];
    else if ((said[0] - said[1]) * (naturalWidth - naturalHeight) < 0) [this.height, this.width] = said;
    else [this.width, this.height] = said;
  }

  get isFull() {
    return this.image.getAttribute("src") === this.full;
  }

  // Whether a picture so wide asks for more pixels than the preview has.
  wants(width) {
    return !this.isFull && this.image.naturalWidth > 0 && width * devicePixelRatio > this.image.naturalWidth + 1;
  }

  // The original takes the preview's place once it can be painted; rejects where it cannot be had.
  loadFull() {
    if (this.isFull) return Promise.resolve();
    this.loading ??= this.fetchFull().finally(() => (this.loading = null));
    return this.loading;
  }

  async fetchFull() {
    const original = new Image();
    original.src = this.full;
    await original.decode();
    for (const sheet of this.sheets) sheet.querySelector("img").src = this.full;
  }
}
