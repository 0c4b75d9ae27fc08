// The tools of video answers: both clips on one clock, what is pointed at in them, verdicts on
// parts. A card has a desk; its buttons and the keyboard do the same commands.

import { fill, gettext } from "../words.js";
import { addActions, keyOf } from "./actions.js";
import { showLegend } from "./key_list.js";
import { belongsTo, namesOf } from "./keys.js";
import { Boxes } from "./video_boxes.js";
import { Clock, SPEEDS } from "./video_clock.js";
import { VideoEvidence } from "./video_evidence.js";
import { Segments } from "./video_segments.js";
import { Side } from "./video_side.js";
import { Timeline } from "./video_timeline.js";

const WRITES = "textarea, select, input:not([type=radio], [type=checkbox])";

let desk = null; // that of the card in view

class Desk {
  constructor(card, answers) {
    this.card = card;
    this.form = card.querySelector("form#verdict"); // none beside the feedback of a training pair
    this.root = card.querySelector(".transport");
    this.stopper = new AbortController();
    this.signal = this.stopper.signal;
    this.clock = new Clock(answers.map((answer) => new Side(answer, answer.querySelector(".clip > video"))));
    this.side = this.clock.sides[0]; // the one that evidence is marked on
    this.timeline = new Timeline(this.root, this.clock, this.signal);
    this.evidence = new VideoEvidence(this);
    this.segments = new Segments(this);
    this.boxes = new Boxes(this);
    this.#open();
  }

  #open() {
    for (const { video } of this.clock.sides) video.controls = false;
    this.root.hidden = false;
    this.card.dataset.clips = this.clock.sides.every(({ video }) => video.height > video.width) ? "tall" : "wide";
    this.button("segments").hidden = !this.maySegment;
    this.button("mark").closest(".set").hidden = !this.mayPoint;
    this.clock.addEventListener("change", () => this.show());
    this.clock.addEventListener("time", () => this.evidence.pending && this.evidence.draw());
    const listen = (target, name, todo, capture = false) => target.addEventListener(name, todo, { signal: this.signal, capture });
    listen(this.root, "click", (event) => {
      const pressed = event.target.closest("[data-do]");
      if (pressed) commands[pressed.dataset.do].run(this);
    });
    listen(this.card, "focusin", (event) => this.#focused(event.target));
    listen(globalThis, "keydown", (event) => this.#key(event), true);
    listen(globalThis, "submit", (event) => event.target === this.form && this.evidence.end(), true);
    listen(globalThis, "keyup", () => this.swap(false));
    listen(globalThis, "blur", () => this.swap(false));
    const hold = this.root.querySelector("[data-hold]");
    listen(hold, "pointerdown", () => this.swap(true));
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) listen(hold, name, () => this.swap(false));
    listen(hold, "keydown", (event) => [" ", "Enter"].includes(event.key) && this.swap(true));
    listen(hold, "contextmenu", (event) => event.preventDefault());
    this.show();
  }

  close() {
    this.swap(false);
    this.segments.close();
    this.stopper.abort();
    this.clock.close();
  }

  get judged() {
    return this.form !== null && this.card.dataset.kind !== "training";
  }

  get maySegment() {
    return this.judged && this.card.dataset.segments === "1" && this.clock.sides.length === 2;
  }

  get mayPoint() {
    return this.judged && this.card.dataset.evidence !== "off";
  }

  button(name) {
    return this.root.querySelector(`[data-do="${name}"]`);
  }

  say(words) {
    this.root.querySelector("[data-video-say]").textContent = words;
  }

  #focused(target) {
    const side = this.clock.sides.find(({ answer }) => answer.contains(target));
    if (side) this.point(side);
  }

  // From here on evidence is marked on that side.
  point(side) {
    this.side = side ?? this.side;
    this.show();
  }

  // The same, and what is being drawn goes along.
  turn(side) {
    if (!side) return;
    this.point(side);
    this.evidence.turn(side);
    this.boxes.turn(side);
  }

  get drawing() {
    return this.boxes.on || this.evidence.pending !== null;
  }

  turnOver() {
    const side = this.boxes.side ?? this.evidence.pending.side;
    this.turn(this.clock.sides.find((other) => other !== side));
  }

  // Keys that mean something else while a box, a range or parts are in hand.
  #key(event) {
    if (document.querySelector("dialog[open]")) return;
    if (sends(event)) return this.evidence.end();
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.(WRITES)) return;
    const taken =
      (this.boxes.on && this.boxes.key(event)) ||
      (this.evidence.pending && this.#rangeKey(event)) ||
      (this.segments.on && this.segments.key(event));
    if (!taken) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Whether a key was meant for the range whose end is not said yet. Other buttons and sliders keep
  // theirs; the button that submits does not, as Enter ends the range first.
  #rangeKey(event) {
    const { target, key } = event;
    const own = target === this.timeline.slider || (target.type === "submit" && target.form === this.form);
    if (!own && belongsTo(target, event)) return false;
    const by = event.shiftKey ? Math.max(1, Math.round(this.clock.rate / 2)) : 1;
    const todo = {
      Escape: () => this.evidence.forget(),
      Enter: () => this.evidence.end(),
      ArrowLeft: () => this.evidence.step(-by),
      ArrowRight: () => this.evidence.step(by),
    }[key];
    todo?.();
    return Boolean(todo);
  }

  // Each clip in the other's place, with its letter and colour, as long as it is held.
  swap(on) {
    const [one, other] = this.clock.sides.map(({ answer }) => answer);
    if (!other || on === this.card.hasAttribute("data-swapped")) return;
    if (on) {
      const [from, to] = [one, other].map((answer) => answer.getBoundingClientRect());
      this.card.style.setProperty("--swap", `${to.left - from.left}px ${to.top - from.top}px`);
      this.card.style.setProperty("--swap-back", `${from.left - to.left}px ${from.top - to.top}px`);
    }
    this.card.toggleAttribute("data-swapped", on);
    this.root.querySelector("[data-hold]").setAttribute("aria-pressed", on);
  }

  show() {
    const { clock, root } = this;
    const press = (name, on) => this.button(name).setAttribute("aria-pressed", on);
    const play = this.button("play");
    play.querySelector("[data-words]").textContent = this.#state();
    play.querySelector(".sign").textContent = clock.wanted ? "❚❚" : "▶";
    root.toggleAttribute("data-waiting", clock.waiting);
    root.querySelector(".speed").textContent = `${clock.speed}×`;
    press("loop", clock.loop);
    press("alternate", clock.alternate);
    press("hear-none", clock.heard === null);
    const ranged = clock.range.start !== null;
    this.button("whole").hidden = !ranged || this.segments.on;
    this.timeline.draw("whole", ranged ? [{ ...clock.range, name: "range" }] : []);
    for (const side of clock.sides) {
      press(`hear-${side.place}`, clock.heard === side);
      this.button(`hear-${side.place}`).hidden = side.silent;
      press(`side-${side.place}`, this.side === side);
      side.answer.toggleAttribute("data-turn", clock.alternate && clock.wanted && clock.active()[0] === side);
      this.#broken(side);
    }
    this.button("hear-none").closest(".set").hidden = clock.sides.every((side) => side.silent);
    press("segments", this.segments.on);
    if (clock.shortest && !this.loaded) this.#loaded();
  }

  // What is drawn by lengths waits until they are known.
  #loaded() {
    this.loaded = true;
    this.evidence.draw();
    if (this.maySegment) this.segments.read();
  }

  #state() {
    if (!this.clock.wanted) return gettext("Play");
    return this.clock.waiting ? gettext("Loading…") : gettext("Pause");
  }

  #broken(side) {
    if (!side.broken || side.answer.querySelector(".clip-problem")) return;
    const words = document.createElement("p");
    words.className = "clip-problem";
    words.setAttribute("role", "alert");
    words.textContent = fill(gettext("Clip %(side)s cannot be played here. Skip the pair, or flag it, if it stays so."), {
      side: side.place.toUpperCase(),
    });
    side.answer.querySelector(".clip").append(words);
  }

  faster(by) {
    const { clock } = this;
    clock.setSpeed(SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(clock.speed) + by))]);
    this.say(fill(gettext("Speed %(speed)s"), { speed: clock.speed }));
  }

  // The same place again takes the edge away.
  edge(name) {
    const { clock } = this;
    const frame = clock.frameAt(clock.now());
    const at = (name === "start" ? frame : frame + 1) / clock.rate;
    if (clock.range[name] === at) return clock.setRange(null, null);
    const range = { start: clock.range.start ?? 0, end: clock.range.end ?? clock.total, [name]: Math.min(at, clock.total) };
    if (range.end - range.start < 0.5 / clock.rate) Object.assign(range, name === "start" ? { end: clock.total } : { start: 0 });
    clock.setRange(range.start, range.end);
    return this.say(fill(gettext("Loop %(start)s to %(end)s s"), { start: range.start.toFixed(2), end: range.end.toFixed(2) }));
  }

  hear(side = null) {
    this.clock.hear(side);
    this.say(side ? fill(gettext("Hear %(side)s"), { side: side.place.toUpperCase() }) : gettext("Both muted"));
  }

  // Muted, A, B, muted …
  hearNext() {
    const order = [null, ...this.clock.sides.filter((side) => !side.silent)];
    if (order.length < 2) return this.say(gettext("These clips have no sound."));
    return this.hear(order[(order.indexOf(this.clock.heard) + 1) % order.length]);
  }

  of(place) {
    return this.clock.sides.find((side) => side.place === place);
  }

  alternate() {
    this.clock.setAlternate(!this.clock.alternate);
    this.say(this.clock.alternate ? gettext("One after the other") : gettext("Both together"));
  }

  loop() {
    this.clock.loop = !this.clock.loop;
    this.show();
  }
}

// Whether a key hands the verdict in, other than Enter, which ends an open range.
function sends(event) {
  const names = namesOf(event);
  const submits = [keyOf({ id: "verdict.submit-writing", key: "Ctrl+Enter" })];
  if (!event.target.matches?.(WRITES)) submits.push(keyOf({ id: "verdict.submit", key: "Enter" }));
  return submits.some((key) => key !== "Enter" && names.includes(key));
}

const segmented = (at) => at.maySegment;
const parting = (at) => at.segments.on;

const pointing = (at) => at.mayPoint;

const ranging = (at) => at.evidence.pending !== null;

// What buttons and keys do: the words for the list of keys, the key, when it applies
const commands = {
  play: { key: " ", label: gettext("play or pause both clips"), legend: gettext("play"), once: true, run: (at) => at.clock.toggle() },
  back: { key: ",", label: gettext("one frame back"), run: (at) => at.clock.step(-1) },
  forward: { key: ".", label: gettext("one frame on"), legend: gettext("next frame"), run: (at) => at.clock.step(1) },
  rewind: { key: "j", label: gettext("one second back"), run: (at) => at.clock.seek(at.clock.now() - 1) },
  skim: { key: "l", label: gettext("one second on"), run: (at) => at.clock.seek(at.clock.now() + 1) },
  from: { key: "[", label: gettext("loop from here"), once: true, when: (at) => !parting(at), run: (at) => at.edge("start") },
  until: { key: "]", label: gettext("loop up to here"), once: true, when: (at) => !parting(at), run: (at) => at.edge("end") },
  whole: { run: (at) => at.clock.setRange(null, null) },
  loop: { run: (at) => at.loop() },
  slower: { key: "<", label: gettext("slower"), run: (at) => at.faster(-1) },
  faster: { key: ">", label: gettext("faster"), run: (at) => at.faster(1) },
  sound: { key: "m", label: gettext("sound: none, A, B"), once: true, run: (at) => at.hearNext() },
  "hear-none": { run: (at) => at.hear() },
  "hear-a": { run: (at) => at.hear(at.of("a")) },
  "hear-b": { run: (at) => at.hear(at.of("b")) },
  swap: { key: "h", label: gettext("hold: each in the other’s place"), legend: gettext("swap"), once: true, run: (at) => at.swap(true) },
  alternate: { key: "x", label: gettext("one after the other, or together"), once: true, run: (at) => at.alternate() },
  "side-a": { key: "a", label: gettext("evidence points at A"), has: pointing, when: pointing, run: (at) => at.turn(at.of("a")) },
  "side-b": { key: "b", label: gettext("evidence points at B"), has: pointing, when: pointing, run: (at) => at.turn(at.of("b")) },
  other: { key: "Tab", label: gettext("while marking: the other side; a and b: that side"), legend: gettext("other side"), fixed: true, has: pointing, when: (at) => at.drawing, run: (at) => at.turnOver() },
  mark: { key: "e", label: gettext("evidence: mark a time range"), legend: gettext("mark time"), once: true, has: pointing, when: pointing, run: (at) => at.evidence.mark() },
  end: { key: "Enter", legend: gettext("end the range"), fixed: true, hidden: true, once: true, when: ranging, run: (at) => at.evidence.end() },
  box: { key: "E", label: gettext("evidence: a box on the frame"), once: true, has: pointing, when: pointing, run: (at) => at.boxes.toggle() },
  segments: { key: "n", label: gettext("verdicts on parts"), legend: gettext("parts"), once: true, has: segmented, when: segmented, run: (at) => at.segments.toggle() },
  done: { run: (at) => at.segments.toggle() },
  split: { key: "k", label: gettext("split the part here"), once: true, has: segmented, when: parting, run: (at) => at.segments.split() },
  pieces: { run: (at) => at.segments.pieces() },
  previous: { key: "Shift+ArrowLeft", label: gettext("the part before"), fixed: true, has: segmented, when: parting, run: (at) => at.segments.take(at.segments.current - 1) },
  next: { key: "Shift+ArrowRight", label: gettext("the next part"), fixed: true, has: segmented, when: parting, run: (at) => at.segments.take(at.segments.current + 1) },
  leave: { key: "Escape", legend: gettext("back to the whole"), fixed: true, hidden: true, once: true, when: (at) => parting(at) && !ranging(at), run: (at) => at.segments.toggle() },
  forget: { key: "Escape", legend: gettext("forget the range"), fixed: true, hidden: true, once: true, when: ranging, run: (at) => at.evidence.forget() },
  clear: { key: "Delete", label: gettext("take the part’s verdict away"), fixed: true, has: segmented, when: parting, run: (at) => at.segments.clear() },
};

const keyed = Object.entries(commands).filter(([, command]) => command.key);
addActions(
  gettext("Clips"),
  keyed.map(([name, { has, when, run, ...rest }]) => ({
    ...rest,
    id: `video.${name}`,
    has: () => desk !== null && (has?.(desk) ?? true),
    when: () => desk !== null && (when?.(desk) ?? true),
    run: () => run(desk),
  })),
);

// Called for each card that comes up; returns what takes its listeners away again.
export function attach(card) {
  const answers = [...card.querySelectorAll(".answer")].filter((answer) => answer.querySelector(".clip > video"));
  if (!answers.length || !card.querySelector(".transport")) return () => {};
  const own = new Desk(card, answers);
  desk = own;
  return () => {
    own.close();
    if (desk === own) desk = null;
  };
}
