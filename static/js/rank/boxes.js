// Boxes on the pictures of a set as evidence. They are drawn where the pictures stand on the board; a
// sheet over each holds its boxes, and takes the pointer only while one is drawn.

import { gettext } from "../words.js";
import { CHANGED, SHOW, readEvidence } from "../label/evidence.js";
import { drawBoxes } from "../label/image_boxes.js";
import { BoxTool } from "../label/image_draft.js";
import { pointOf } from "../label/image_gestures.js";
import { make } from "../label/image_stage.js";

export class Boxes {
  constructor(desk) {
    const { card, form, button, signal } = desk;
    this.desk = desk;
    this.sheets = new Map();
    this.observer = new ResizeObserver((seen) => seen.forEach(({ target }) => this.fit(target)));
    for (const option of desk.board.options) this.cover(option, signal);
    this.places = [...this.sheets.keys()];
    this.tool = new BoxTool({ card, form, button, say: (words) => desk.say(words), host: this });
    card.addEventListener(CHANGED, () => this.draw(), { signal });
    card.addEventListener(SHOW, (event) => this.point(event.detail), { signal });
    this.draw();
  }

  stop() {
    this.end();
    this.observer.disconnect();
    for (const sheet of this.sheets.values()) sheet.remove();
  }

  // ---- a sheet over a picture, as large as it is ----
  cover(option, signal) {
    const link = option.querySelector(".picture-link");
    if (!link) return;
    const sheet = make("div", "picture-sheet");
    sheet.append(make("span", "evidence-boxes"));
    link.after(sheet);
    this.sheets.set(option.dataset.place, sheet);
    this.observer.observe(link.querySelector("img"));
    this.listen(sheet, signal);
  }

  fit(image) {
    const sheet = this.sheets.get(image.closest(".option").dataset.place);
    Object.assign(sheet.style, { width: `${image.offsetWidth}px`, height: `${image.offsetHeight}px` });
  }

  listen(sheet, signal) {
    let pen = null;
    const on = (name, todo) => sheet.addEventListener(name, todo, { signal });
    on("pointerdown", (event) => {
      pen?.end(false); // a second finger
      pen = event.button ? null : this.tool.pen(sheet);
      if (!pen) return;
      event.preventDefault();
      sheet.setPointerCapture(event.pointerId);
      pen.begin(pointOf(event, sheet));
    });
    on("pointermove", (event) => pen?.to(pointOf(event, sheet)));
    for (const name of ["pointerup", "pointercancel"]) {
      on(name, () => {
        pen?.end(name === "pointerup");
        pen = null;
      });
    }
  }

  // ---- what the tool asks of its host ----
  sheet(place) {
    return this.sheets.get(place);
  }

  seen() {
    return { x: 0, y: 0, width: 1, height: 1 };
  }

  side() {
    return this.desk.placeIn(this.places);
  }

  sideAt(sheet) {
    return sheet.closest(".option").dataset.place;
  }

  fraction(sheet, point) {
    return { x: point.x / sheet.clientWidth, y: point.y / sheet.clientHeight };
  }

  whole(place) {
    if (place) this.desk.option(place).scrollIntoView({ block: "nearest" });
  }

  rest(place) {
    this.desk.board.focus(this.desk.option(place));
  }

  // ---- by key and button ----
  mark() {
    if (this.places.length) this.tool.key();
  }

  pressed(byPointer) {
    if (this.places.length) this.tool.click(byPointer);
  }

  // A box that the keys draw takes them by itself.
  get isBusy() {
    return this.tool.isOn && !this.tool.draft;
  }

  end() {
    if (this.tool.isOn) this.tool.off();
  }

  drop() {
    this.tool.off(gettext("No box."));
  }

  // ---- showing them ----
  draw() {
    const items = readEvidence(this.desk.form).map((item, index) => ({ ...item, number: index + 1 }));
    for (const [place, sheet] of this.sheets) drawBoxes(sheet.querySelector(".evidence-boxes"), items.filter((item) => item.side === place));
  }

  point({ index, on }) {
    for (const box of this.desk.card.querySelectorAll(`.evidence-box[data-number="${index + 1}"]`)) box.toggleAttribute("data-pointed", on);
  }
}
