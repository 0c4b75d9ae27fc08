// Verdicts on parts of the clips. Cuts divide the time that both clips have; each part may get a
// verdict by the keys of the bar. Only parts with a verdict are in the form's hidden field.

import { fill, gettext } from "../words.js";
import { keyOf } from "./actions.js";
import { showLegend } from "./key_list.js";
import { namesOf } from "./keys.js";
import { seconds } from "./video_timeline.js";

const SHORTEST = 0.1; // seconds
const CLOSE = 0.0015;
const OTHERS = ".tags, .aspect, .skip-reasons, .evidence"; // where these keys mean something else
const round = (value) => Math.round(value * 1000) / 1000;

export class Segments {
  constructor(desk) {
    this.desk = desk;
    this.on = false;
    this.panel = desk.root.querySelector(".segments");
    this.list = desk.root.querySelector(".piece-list");
    this.current = 0;
    this.parts = null; // [{start, end, value}], value as the bar has it; made when the lengths are known
    this.#makeScale();
    this.list.addEventListener("click", (event) => this.#click(event), { signal: desk.signal });
  }

  // ---- the form ----

  get field() {
    return this.desk.form.elements.namedItem("segments");
  }

  // The bar's own choices that say which side is better, or neither.
  get choices() {
    const inputs = this.desk.form.querySelectorAll("input[name=verdict][data-key]");
    return [...inputs].filter((input) => /^([ab]\d|tie)$/.test(input.value));
  }

  read() {
    let said = [];
    try {
      said = JSON.parse(this.field?.value || "[]");
    } catch {
      // as if nothing had been said
    }
    const limit = this.desk.clock.shortest;
    this.parts = [];
    let from = 0;
    for (const { start, end, outcome, strength } of said) {
      if (start - from > CLOSE) this.parts.push({ start: from, end: start, value: null });
      this.parts.push({ start, end, value: outcome === "tie" ? "tie" : `${outcome}${Math.max(1, Math.abs(strength ?? 1))}` });
      from = end;
    }
    if (limit - from >= SHORTEST || !this.parts.length) this.parts.push({ start: from, end: limit, value: null });
    this.draw();
  }

  #write() {
    const said = this.parts.filter((part) => part.value).map(({ start, end, value }) => {
      const outcome = value === "tie" ? "tie" : value[0];
      const strength = outcome === "tie" ? 0 : Number(value.slice(1)) * (outcome === "a" ? -1 : 1);
      return { start: round(start), end: round(end), outcome, strength };
    });
    this.field.value = JSON.stringify(said);
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.draw();
  }

  // ---- what people do ----

  toggle() {
    const { clock } = this.desk;
    if (!clock.shortest) return this.desk.say(gettext("The clips are not loaded yet."));
    if (!this.parts) this.read();
    this.on = !this.on;
    this.#showMode();
    if (this.on) this.take(this.#partAt(clock.now()), false);
    else clock.setRange(null, null);
    this.desk.say(this.on ? gettext("Number keys now judge the part in hand; Escape goes back to the whole.") : gettext("Number keys give the verdict on the whole again."));
    return this.draw();
  }

  #showMode() {
    this.panel.hidden = !this.on;
    this.desk.card.toggleAttribute("data-parting", this.on);
    showLegend();
  }

  // The card is left: should it come back, it begins with the whole.
  close() {
    if (!this.on) return;
    this.on = false;
    this.#showMode();
  }

  #partAt(time) {
    const found = this.parts.findIndex((part) => time < part.end - CLOSE);
    return found < 0 ? this.parts.length - 1 : found;
  }

  // Makes a part the one in hand: it loops, and the number keys speak of it.
  take(index, move = true) {
    this.current = Math.max(0, Math.min(index, this.parts.length - 1));
    const part = this.parts[this.current];
    this.desk.clock.setRange(part.start, part.end);
    if (move) this.desk.clock.seek(part.start, false);
    this.draw();
  }

  split() {
    const { clock } = this.desk;
    const at = clock.frameAt(clock.now()) / clock.rate;
    const index = this.#partAt(at + CLOSE);
    const part = this.parts[index];
    if (at - part.start < SHORTEST - CLOSE || part.end - at < SHORTEST - CLOSE) {
      return this.desk.say(gettext("Too close to the edge of a part: a part lasts at least 0.1 s."));
    }
    this.parts.splice(index, 1, { ...part, end: at }, { ...part, start: at });
    this.#write();
    this.take(index + 1, false);
    return this.desk.say(fill(gettext("Split at %(at)s s."), { at: seconds(at) }));
  }

  // Pieces of one second where no verdict stands yet; what was said stays.
  pieces() {
    this.parts = this.parts.flatMap((part) => (part.value ? [part] : cut(part)));
    this.#write();
    this.take(this.#partAt(this.desk.clock.now()), false);
  }

  judge(value) {
    const part = this.parts[this.current];
    part.value = value;
    this.#write();
    this.desk.say(fill(gettext("%(part)s: %(verdict)s."), { part: span(part), verdict: this.#words(value) }));
    const later = this.parts.findIndex((other, index) => index > this.current && !other.value);
    const next = later < 0 ? this.parts.findIndex((other) => !other.value) : later;
    if (next >= 0) this.take(next);
  }

  clear(index = this.current) {
    this.parts[index].value = null;
    this.#write();
    this.desk.say(fill(gettext("%(part)s has no verdict any more."), { part: span(this.parts[index]) }));
  }

  join(index) {
    const [part, next] = this.parts.slice(index, index + 2);
    this.parts.splice(index, 2, { start: part.start, end: next.end, value: part.value === next.value ? part.value : null });
    this.#write();
    this.take(index, false);
  }

  // Whether a key was meant for the part in hand.
  key(event) {
    if (event.target.closest?.(OTHERS)) return false;
    const names = namesOf(event);
    const means = (id, key) => names.includes(keyOf({ id, key }));
    const choice = this.choices.find(({ value, dataset }) => {
      return means(`verdict.${value}`, dataset.key) || (value === "tie" && means("verdict.tie-letter", "t"));
    });
    const todo = choice
      ? () => this.judge(choice.value)
      : {
          0: () => this.desk.say(gettext("A part is better in A, in B, or equal.")),
          Escape: () => event.repeat || this.toggle(), // one held long forgets a range or box, no more
          Backspace: () => this.clear(),
          Delete: () => this.clear(),
          "Shift+ArrowLeft": () => this.take(this.current - 1),
          "Shift+ArrowRight": () => this.take(this.current + 1),
        }[names[0]];
    todo?.();
    return Boolean(todo);
  }

  // ---- what they see ----

  #words(value) {
    if (!value) return gettext("no verdict");
    return this.choices.find((input) => input.value === value)?.getAttribute("aria-label") ?? value;
  }

  #makeScale() {
    const scale = this.panel.querySelector(".piece-scale");
    const made = this.choices.map((input) => {
      const short = input.nextElementSibling?.textContent.trim() || input.value;
      const choice = button("judge", short, input.getAttribute("aria-label"));
      choice.addEventListener("click", () => this.judge(input.value));
      return choice;
    });
    scale.replaceChildren(...made);
  }

  draw() {
    if (!this.parts) return;
    const bars = this.parts.map((part, index) => ({
      ...part,
      name: `piece ${part.value ? `says-${part.value[0]}` : ""} ${this.on && index === this.current ? "in-hand" : ""}`,
    }));
    const said = this.parts.some((part) => part.value);
    this.desk.timeline.draw("pieces", this.on || said ? bars : []);
    if (!this.on) return;
    const within = this.list.contains(document.activeElement);
    this.list.replaceChildren(...this.parts.map((part, index) => this.#row(part, index)));
    if (within) this.list.children[this.current]?.querySelector("button").focus();
  }

  #row(part, index) {
    const row = document.createElement("li");
    row.dataset.index = index;
    row.className = part.value ? `says-${part.value[0]}` : "";
    const words = `${span(part)}: ${this.#words(part.value)}`;
    const go = button("go", words, words);
    if (index === this.current) go.setAttribute("aria-current", "true");
    row.append(go);
    if (part.value) row.append(button("clear", "×", fill(gettext("Clear the verdict on %(part)s"), { part: span(part) })));
    if (index + 1 < this.parts.length) row.append(button("join", gettext("join"), fill(gettext("Join %(part)s with the next"), { part: span(part) })));
    return row;
  }

  #click(event) {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    const index = Number(pressed.closest("li").dataset.index);
    ({ go: () => this.take(index), clear: () => this.clear(index), join: () => this.join(index) })[pressed.dataset.act]();
  }
}

const span = ({ start, end }) => fill(gettext("%(start)s to %(end)s s"), { start: seconds(start), end: seconds(end) });

function cut({ start, end }) {
  const parts = [];
  for (let from = start; end - from > CLOSE; ) {
    let to = Math.min(end, Math.floor(from + CLOSE) + 1);
    if (end - to < SHORTEST) to = end;
    parts.push({ start: from, end: to, value: null });
    from = to;
  }
  return parts;
}

function button(act, words, label) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "secondary small", textContent: words });
  made.dataset.act = act;
  made.setAttribute("aria-label", label);
  return made;
}
