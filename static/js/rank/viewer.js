// One picture of a set over the whole screen. All of the set's pictures lie in the same place and share
// one view, so that going on to another one is a flicker, and zooming one zooms all.

import { fill, gettext } from "../words.js";
import { listenTo } from "../label/image_gestures.js";
import * as views from "../label/image_view.js";
import { rankOf } from "./board.js";

const STEP = 1.5; // of the zoom, by key
const STRIDE = 0.15; // of the window, by key
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Viewer {
  constructor(board) {
    this.board = board;
    this.options = board.options.filter((option) => option.querySelector(".picture-link"));
    this.ending = new AbortController();
    const { signal } = this.ending;
    board.card.addEventListener("click", (event) => this.clicked(event), { signal });
    signal.addEventListener("abort", () => this.dialog?.remove());
  }

  stop() {
    this.ending.abort();
  }

  // With a modifier the link does what links do.
  clicked(event) {
    const link = event.target.closest(".picture-link");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.open(link.closest(".option"));
  }

  open(option) {
    if (!this.options.includes(option)) return;
    this.dialog ??= this.make();
    this.view = views.whole();
    this.before = null;
    this.dialog.showModal();
    this.show(option);
    this.window.focus();
  }

  make() {
    const dialog = element("dialog", "picture-viewer", { "aria-label": gettext("One picture of the set") });
    this.title = element("p", "viewer-title", { role: "status" });
    const words = gettext("Arrows: another picture in its place · h held: the one before · + − z: zoom, Shift and arrows move · a number ranks it · Esc closes");
    this.window = element("div", "picture viewer-window", { tabindex: "0", role: "region", "data-live": "" });
    const close = element("button", "plain", { type: "button" }, gettext("Close"));
    const head = element("div", "viewer-head", {}, this.title, element("small", "muted by-keys", {}, words), close);
    this.pictures = new Map(this.options.map((option) => [option, this.picture(option)]));
    dialog.append(head, this.window);
    document.body.append(dialog);
    const { signal } = this.ending;
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal });
    on(close, "click", () => dialog.close());
    on(dialog, "keydown", (event) => this.key(event));
    on(dialog, "keyup", (event) => event.key === "h" && this.held && this.let());
    on(dialog, "close", () => this.board.focus(this.current));
    on(window, "resize", () => this.draw());
    listenTo(this.window, this, signal);
    return dialog;
  }

  picture(option) {
    const small = option.querySelector(".picture-link img");
    const image = element("img", "", { src: small.src, alt: "", draggable: "false" });
    const said = [Number(small.getAttribute("width")), Number(small.getAttribute("height"))];
    const turned = (said[0] - said[1]) * (small.naturalWidth - small.naturalHeight) < 0;
    const [width, height] = said[0] && said[1] ? (turned ? said.reverse() : said) : [small.naturalWidth || 1, small.naturalHeight || 1];
    this.window.append(image);
    return { image, width, height, pixelated: width < 64, full: option.querySelector(".picture-link").href };
  }

  show(option) {
    this.current = option;
    const picture = this.pictures.get(option);
    for (const [other, { image }] of this.pictures) image.style.visibility = other === option ? "" : "hidden";
    if (picture.image.src !== picture.full) this.load(picture);
    this.title.textContent = this.board.wordsFor(option);
    this.title.dataset.ranked = rankOf(option) || "";
    this.draw();
  }

  // The original takes the preview's place once it can be painted.
  async load(picture) {
    const original = Object.assign(new Image(), { src: picture.full });
    await original.decode().then(() => (picture.image.src = picture.full), () => {});
  }

  go(by) {
    const at = this.options.indexOf(this.current);
    this.before = this.current;
    this.show(this.options[(at + by + this.options.length) % this.options.length]);
  }

  let() {
    this.show(this.held);
    this.held = null;
  }

  key(event) {
    const todo = this.meaning(event);
    if (!todo) return;
    event.preventDefault();
    event.stopPropagation();
    todo();
  }

  meaning(event) {
    const { key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return null;
    if (event.target.closest("button") && (key === "Enter" || key === " ")) return null;
    const way = WAYS[key];
    if (way && event.shiftKey) return () => this.panBy(this.window, -way[0] * STRIDE * this.window.clientWidth, -way[1] * STRIDE * this.window.clientHeight);
    if (way) return () => this.go(way[0] + way[1]);
    if (/^[1-9]$/.test(key)) return () => this.rank(Number(key));
    return {
      "+": () => this.zoomBy(this.window, STEP, this.middle()),
      "-": () => this.zoomBy(this.window, 1 / STEP, this.middle()),
      z: () => this.toggleAt(this.window, this.middle()),
      o: () => this.dialog.close(),
      h: () => this.hold(event.repeat),
    }[key];
  }

  hold(repeat) {
    if (repeat || this.held || !this.before) return;
    this.held = this.current;
    this.show(this.before);
  }

  rank(rank) {
    this.board.assign(this.current, rank);
    this.show(this.current);
    this.window.focus();
  }

  // ---- view ----

  middle() {
    return { x: this.window.clientWidth / 2, y: this.window.clientHeight / 2 };
  }

  frame(picture) {
    const size = { width: this.window.clientWidth, height: this.window.clientHeight };
    return { ...size, fit: views.fitTogether(picture, [...this.pictures.values()], size) };
  }

  isZoomed() {
    return this.view.zoom > 1;
  }

  pen() {
    return null;
  }

  zoomBy(target, factor, point) {
    this.zoomTo(this.view.zoom * factor, point);
  }

  toggleAt(target, point) {
    const frames = [...this.pictures.values()].map((picture) => this.frame(picture));
    this.zoomTo(this.isZoomed() ? 1 : views.natural(frames), point);
  }

  zoomTo(zoom, point) {
    const picture = this.pictures.get(this.current);
    const frame = this.frame(picture);
    const deep = Math.min(views.deepest([frame]), Math.max(1, zoom));
    this.look(views.zoomed(this.view, deep < 1.01 ? 1 : deep, picture, frame, point));
  }

  panBy(target, dx, dy) {
    const picture = this.pictures.get(this.current);
    if (this.isZoomed()) this.look(views.panned(this.view, dx, dy, picture, this.frame(picture)));
  }

  look(view) {
    this.view = views.kept(view, [...this.pictures.values()].map((picture) => [picture, this.frame(picture)]));
    this.draw();
  }

  draw() {
    if (!this.dialog.open) return;
    for (const picture of this.pictures.values()) {
      const at = views.lay(this.view, picture, this.frame(picture));
      Object.assign(picture.image.style, { width: `${at.width}px`, height: `${at.height}px`, transform: `translate(${at.left}px, ${at.top}px)` });
    }
    this.window.toggleAttribute("data-zoomed", this.isZoomed());
    this.window.setAttribute("aria-label", fill(gettext("%(place)s at %(zoom)s times the size that fits"), { place: this.current.dataset.place, zoom: this.view.zoom.toFixed(1) }));
  }
}

function element(name, className, attributes = {}, ...children) {
  const made = document.createElement(name);
  made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
