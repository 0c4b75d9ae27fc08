// The tools of image answers: zoom and pan both pictures together, flicker between them, lay them
// over each other with a divider, load the originals, draw boxes as evidence.

import { fill, gettext } from "../words.js";
import { addActions } from "./actions.js";
import { CHANGED, SHOW, readEvidence } from "./evidence.js";
import { drawBoxes } from "./image_boxes.js";
import { BoxTool } from "./image_draft.js";
import { Flicker } from "./image_flicker.js";
import { listenTo } from "./image_gestures.js";
import { Picture } from "./image_picture.js";
import { Stage, make } from "./image_stage.js";
import * as views from "./image_view.js";

const STEP = 1.5; // of the zoom, by key or button
const STRIDE = 0.15; // of the window, by key
const PIXELS_SEEN = 4; // CSS pixels a pixel, from which they are shown as squares
const NOT_LOADED = gettext("full resolution could not be loaded");
const OTHER = { a: "b", b: "a" };
const letter = (side) => side.toUpperCase();

let current = null; // the card before the annotator, if it has pictures

// Called for each card that comes up; returns what takes its listeners away again.
export function attach(card) {
  const panes = [...card.querySelectorAll(".answer .picture")];
  const tools = card.querySelector(".image-tools");
  if (!panes.length || !tools) return () => {};
  const mine = new Comparison(card, panes, tools);
  current = mine;
  return () => {
    mine.stop();
    if (current === mine) current = null;
  };
}

class Comparison {
  constructor(card, panes, tools) {
    this.card = card;
    this.tools = tools;
    this.answers = card.querySelector(".answers");
    this.form = card.querySelector("form#verdict");
    this.pictures = Object.fromEntries(panes.map((pane) => [pane.dataset.place, new Picture(pane)]));
    this.view = views.whole();
    this.pointed = null; // the side that a pointer was over last
    this.added = []; // elements, to be taken away again
    this.ending = new AbortController();
    this.observer = new ResizeObserver(() => this.draw());
    for (const pane of panes) this.watch(pane);
    for (const picture of Object.values(this.pictures)) this.begin(picture);
    this.wire();
    this.drawEvidence();
  }

  // Leaves the card as it was, for it may only be set aside.
  stop() {
    this.ending.abort();
    this.observer.disconnect();
    this.boxes.off();
    this.flicker.off();
    if (this.isStaged) this.slider();
    for (const picture of Object.values(this.pictures)) {
      picture.stop();
      delete picture.pane.dataset.live;
    }
    for (const element of this.added) element.remove();
    delete this.card.dataset.magnified;
  }

  add(place, ...made) {
    const element = make(...made);
    place.append(element);
    this.added.push(element);
    return element;
  }

  // ---- beginning ----
  begin(picture) {
    const caption = picture.pane.parentElement.querySelector("figcaption");
    picture.state = this.add(caption, "span", "picture-state");
    const measured = () => {
      picture.measure();
      this.draw();
    };
    picture.measure();
    picture.image.addEventListener("load", measured, { signal: this.ending.signal });
  }

  watch(target) {
    target.dataset.live = "";
    this.add(target, "span", "picture-letter", { "aria-hidden": "true" });
    this.observer.observe(target);
    listenTo(target, this, this.ending.signal);
  }

  wire() {
    const { signal } = this.ending;
    const button = (name) => this.tools.querySelector(`[data-tool="${name}"]`);
    this.flicker = new Flicker(button("flicker"), (on) => this.flick(on), signal);
    button("box").hidden = !this.takesEvidence;
    button("flicker").hidden = button("slider").hidden = !this.hasBoth;
    this.boxes = new BoxTool({
      card: this.card,
      form: this.form,
      button: button("box"),
      say: (words) => this.say(words),
      host: this,
    });
    this.tools.addEventListener("click", (event) => this.click(event), { signal });
    this.card.addEventListener(CHANGED, () => this.drawEvidence(), { signal });
    this.card.addEventListener(SHOW, (event) => this.point(event.detail), { signal });
    this.card.addEventListener("pointerover", (event) => this.over(event), { signal });
    document.addEventListener("keydown", (event) => this.escape(event), { signal, capture: true });
    this.tools.hidden = false;
  }

  // Before anything else that Esc may mean: no box is to be drawn after all.
  escape(event) {
    if (event.key !== "Escape" || !this.boxes.isOn || this.boxes.draft) return;
    event.preventDefault();
    event.stopPropagation();
    this.boxes.off(gettext("No box."));
  }

  say(words) {
    this.tools.querySelector(".image-say").textContent = words;
  }

  click(event) {
    const name = event.target.closest("button")?.dataset.tool;
    if (name === "box") this.boxes.click(event.detail > 0);
    else if (name && name !== "flicker") this[name]();
  }

  over(event) {
    this.pointed = event.target.closest?.(".answer")?.dataset.place ?? this.pointed;
  }

  // ---- which side ----
  get hasBoth() {
    return Boolean(this.pictures.a && this.pictures.b);
  }

  // Not where the scheme wants none, nor where a card has no verdict to give or only trains.
  get takesEvidence() {
    const { evidence, kind } = this.card.dataset;
    return Boolean(this.form) && evidence !== "off" && kind !== "training";
  }

  get isStaged() {
    return Boolean(this.stage?.isOpen);
  }

  // Those in sight: a phone shows one at a time.
  inSight() {
    const room = this.answers.getBoundingClientRect();
    return Object.keys(this.pictures).filter((side) => {
      const box = this.pictures[side].pane.getBoundingClientRect();
      const middle = box.left + box.width / 2;
      return middle > room.left && middle < room.right;
    });
  }

  // The side in use: with the focus, else under the pointer, else the first in sight.
  side() {
    const sides = this.inSight();
    const focused = document.activeElement?.closest?.(".answer")?.dataset.place;
    return [focused, this.pointed].find((side) => sides.includes(side)) ?? sides[0] ?? Object.keys(this.pictures)[0];
  }

  sideAt(target, point) {
    if (target === this.stage?.element) return this.stage.sideAt(point);
    return target.dataset.shows || target.dataset.place;
  }

  windowOf(side) {
    return this.isStaged ? this.stage.element : this.pictures[side].pane;
  }

  // The sheet of a side in a window; without one, where that side is at home.
  sheet(side, target = this.pictures[side] && this.windowOf(side)) {
    return this.pictures[side]?.sheets.find((sheet) => target.contains(sheet));
  }

  // ---- view ----
  // A window as views.lay wants it for one of its pictures.
  frame(target, picture) {
    const size = { width: target.clientWidth, height: target.clientHeight };
    if (target === picture.pane) return { ...size, fit: views.fitScale(picture, size) };
    const others = target.dataset.place ? [this.pictures[target.dataset.place]] : Object.values(this.pictures);
    return { ...size, fit: views.fitTogether(picture, others, size) };
  }

  // The pictures where they are at home now.
  pairs() {
    return Object.values(this.pictures).map((picture) => [picture, this.frame(this.windowOf(picture.side), picture)]);
  }

  frames() {
    return this.pairs().map(([, frame]) => frame);
  }

  isZoomed() {
    return this.view.zoom > 1;
  }

  zoomTo(zoom, target, point) {
    const picture = this.pictures[this.sideAt(target, point)];
    const deep = Math.min(views.deepest(this.frames()), Math.max(1, zoom));
    this.look(views.zoomed(this.view, deep < 1.01 ? 1 : deep, picture, this.frame(target, picture), point));
  }

  zoomBy(target, factor, point) {
    this.zoomTo(this.view.zoom * factor, target, point);
  }

  panBy(target, dx, dy) {
    if (!this.isZoomed()) return;
    const picture = this.pictures[target.dataset.place ?? "a"];
    this.look(views.panned(this.view, dx, dy, picture, this.frame(target, picture)));
  }

  toggleAt(target, point) {
    const frame = this.frame(target, this.pictures[this.sideAt(target, point)]);
    this.zoomTo(this.isZoomed() ? 1 : views.natural([frame]), target, point);
  }

  middle() {
    const target = this.windowOf(this.side());
    return [target, { x: target.clientWidth / 2, y: target.clientHeight / 2 }];
  }

  zoom() {
    this.zoomTo(this.isZoomed() ? 1 : views.natural(this.frames()), ...this.middle());
  }

  in() {
    this.zoomTo(this.view.zoom * STEP, ...this.middle());
  }

  out() {
    this.zoomTo(this.view.zoom / STEP, ...this.middle());
  }

  // ways: of the view over the pictures, −1, 0 or 1
  stride(right, down) {
    const [target] = this.middle();
    this.panBy(target, -right * STRIDE * target.clientWidth, -down * STRIDE * target.clientHeight);
  }

  look(view) {
    this.view = views.kept(view, this.pairs());
    if (this.isZoomed()) {
      for (const { pane } of Object.values(this.pictures)) pane.closest(".answer").dataset.zoomed = "";
      if (this.pairs().some(([picture, frame]) => picture.wants(views.lay(this.view, picture, frame).width))) this.load();
    }
    this.draw();
  }

  draw() {
    const scales = [];
    for (const picture of Object.values(this.pictures)) {
      for (const sheet of picture.sheets) {
        const target = sheet.closest(".picture");
        if (!target?.clientWidth || !target.clientHeight) continue;
        const at = views.lay(this.view, picture, this.frame(target, picture));
        Object.assign(sheet.style, { width: `${at.width}px`, height: `${at.height}px` });
        sheet.style.transform = `translate(${at.left}px, ${at.top}px)`;
        sheet.toggleAttribute("data-squares", picture.pixelated || at.scale >= PIXELS_SEEN);
        if (target === this.windowOf(picture.side)) scales.push(Math.round(100 * at.scale));
      }
    }
    this.report(scales);
  }

  report(scales) {
    const apart = new Set(scales).size > 1;
    const words = apart ? `A ${scales[0]} % · B ${scales[1]} %` : `${scales[0] ?? 100} %`;
    this.tools.querySelector(".zoom-now").textContent = words;
    this.press("zoom", this.isZoomed());
    this.press("full", Object.values(this.pictures).every((picture) => picture.isFull));
    this.card.toggleAttribute("data-magnified", this.isZoomed());
    for (const picture of Object.values(this.pictures)) {
      const idle = picture.isFull ? gettext("full resolution") : gettext("preview");
      picture.state.textContent = picture.loading ? gettext("loading full resolution…") : (picture.trouble ?? idle);
    }
  }

  press(name, on) {
    this.tools.querySelector(`[data-tool="${name}"]`).setAttribute("aria-pressed", on);
  }

  // ---- originals ----
  async full() {
    await this.load();
    const pictures = Object.values(this.pictures);
    this.say(pictures.every((picture) => picture.isFull) ? gettext("full resolution") : NOT_LOADED);
  }

  async load() {
    const loads = Object.values(this.pictures).map(async (picture) => {
      picture.trouble = null;
      await picture.loadFull().catch(() => (picture.trouble = NOT_LOADED));
      if (!this.ending.signal.aborted) this.draw();
    });
    this.draw();
    await Promise.all(loads);
  }

  // ---- one in the other's place ----
  flick(on) {
    if (this.flicking) delete this.flicking.dataset.shows;
    this.flicking = null;
    this.say("");
    if (!on || !this.hasBoth) return;
    const first = this.isStaged ? "a" : (this.inSight()[0] ?? "a");
    const target = this.windowOf(first);
    const other = OTHER[first];
    if (!this.sheet(other, target)) {
      target.prepend(this.pictures[other].copy());
      this.drawEvidence();
      this.draw();
    }
    this.shows(target, other);
    this.say(fill(gettext("%(other)s in the place of %(first)s"), { other: letter(other), first: letter(first) }));
    this.flicking = target;
  }

  shows(target, side) {
    target.dataset.shows = side;
    target.querySelector(".picture-letter").textContent = letter(side);
  }

  // ---- both over each other ----
  slider() {
    if (!this.hasBoth) return;
    this.boxes.off();
    this.flicker.off();
    if (this.isStaged) this.unstage();
    else {
      this.stage ??= this.makeStage();
      this.stage.open();
    }
    this.press("slider", this.isStaged);
    this.look(this.view);
  }

  unstage() {
    const hadFocus = this.stage.element.contains(document.activeElement);
    this.stage.close();
    if (hadFocus) this.rest();
  }

  makeStage() {
    const stage = new Stage(this.answers, this.pictures, (right, down) => this.stride(right, down));
    this.watch(stage.element);
    this.drawEvidence();
    return stage;
  }

  // ---- evidence ----
  drawEvidence() {
    const items = readEvidence(this.form).map((item, index) => ({ ...item, number: index + 1 }));
    for (const picture of Object.values(this.pictures)) {
      const own = items.filter((item) => item.side === picture.side);
      for (const sheet of picture.sheets) drawBoxes(sheet.querySelector(".evidence-boxes"), own);
    }
  }

  // The list's row of a box has the focus, or has it no longer.
  point({ item, index, on }) {
    for (const box of this.answers.querySelectorAll(`.evidence-box[data-number="${index + 1}"]`)) {
      box.toggleAttribute("data-pointed", on);
    }
    if (!on || item?.kind !== "box" || !this.isZoomed()) return;
    const seen = this.seen(item.side);
    const inside = (start, length, from, room) => start < from + room && start + length > from;
    if (inside(item.x, item.width, seen.x, seen.width) && inside(item.y, item.height, seen.y, seen.height)) return;
    this.look({ ...this.view, x: item.x + item.width / 2, y: item.y + item.height / 2 });
  }

  // What draws a box in a window while boxes are drawn.
  pen(target) {
    return this.boxes.pen(target);
  }

  fraction(target, point, side) {
    const at = views.lay(this.view, this.pictures[side], this.frame(target, this.pictures[side]));
    return { x: (point.x - at.left) / at.width, y: (point.y - at.top) / at.height };
  }

  // The part of a picture that is in sight, in fractions.
  seen(side) {
    const target = this.windowOf(side);
    const { clientWidth: width, clientHeight: height } = target;
    const start = this.fraction(target, { x: 0, y: 0 }, side);
    const end = this.fraction(target, { x: width, y: height }, side);
    const [x, y] = [Math.max(0, start.x), Math.max(0, start.y)];
    return { x, y, width: Math.min(1, end.x) - x, height: Math.min(1, end.y) - y };
  }

  // On the stage a side is shown without the other while a box is moved by the keys.
  whole(side) {
    if (!this.isStaged) return;
    if (side) this.shows(this.stage.element, side);
    else delete this.stage.element.dataset.shows;
  }

  // Where the focus goes when what had it is gone.
  rest(side = this.side()) {
    const home = this.isStaged ? this.stage.divider : this.pictures[side].pane.closest(".answer-body");
    home.focus({ preventScroll: true });
  }
}

const action = (id, key, label, run, more = {}) => ({
  id: `image-${id}`,
  key,
  label,
  ...more,
  has: () => Boolean(current && (more.has?.(current) ?? true)),
  when: () => Boolean(current && (more.when?.(current) ?? true)),
  run: () => run(current),
});
const magnified = { when: (it) => it.isZoomed() };
const both = { has: (it) => it.hasBoth, when: (it) => it.hasBoth };
const asked = { has: (it) => it.takesEvidence, when: (it) => it.takesEvidence };

function slideByKey(comparison) {
  comparison.slider();
  if (comparison.isStaged) comparison.stage.divider.focus({ preventScroll: true });
}

addActions(gettext("Pictures"), [
  action("zoom", "z", gettext("between the whole picture and 100 %"), (it) => it.zoom(), { once: true }),
  action("in", "+", gettext("zoom in"), (it) => it.in(), { also: ["="] }),
  action("out", "-", gettext("zoom out"), (it) => it.out()),
  action("left", "Shift+ArrowLeft", gettext("look further left"), (it) => it.stride(-1, 0), magnified),
  action("right", "Shift+ArrowRight", gettext("look further right"), (it) => it.stride(1, 0), magnified),
  action("up", "Shift+ArrowUp", gettext("look further up"), (it) => it.stride(0, -1), magnified),
  action("down", "Shift+ArrowDown", gettext("look further down"), (it) => it.stride(0, 1), magnified),
  action("flicker", "h", gettext("hold: the other picture in the same place"), (it) => it.flicker.hold(true), both),
  action("slider", "v", gettext("both over each other, with a divider"), slideByKey, { ...both, once: true }),
  action("full", "o", gettext("load both at full resolution"), (it) => it.full(), { once: true }),
  action("box", "e", gettext("draw a box as evidence"), (it) => it.boxes.key(), { ...asked, once: true }),
  action("other", "Tab", gettext("while marking: the other side; a and b: that side"), (it) => it.boxes.turn(), { legend: gettext("other side"), fixed: true, has: (it) => it.takesEvidence && it.hasBoth, when: (it) => Boolean(it.boxes.draft) }),
]);
