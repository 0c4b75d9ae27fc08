// Answers dragged by mouse, pen or finger: before or after another one, onto it for a tie, behind
// the last, or back to those without a rank. A mouse takes the head of a card, a finger its grip,
// so that the page can still be scrolled.

import { rankOf } from "./board.js";

const SLACK = 5; // pixels that are no drag yet
const EDGE = 48; // so near the edge the board scrolls

export function attachDrag(board) {
  const area = board.card.querySelector(".board");
  const { signal } = board.ending;
  area.addEventListener("pointerdown", (event) => start(board, area, event), { signal });
}

function start(board, area, event) {
  const head = event.target.closest(".option-head");
  if (!head || event.button !== 0 || event.target.closest("label")) return;
  if (event.pointerType !== "mouse" && !event.target.closest(".grip")) return;
  event.preventDefault(); // no text is selected
  new Drag(board, area, head, event);
}

class Drag {
  constructor(board, area, head, event) {
    this.option = head.closest(".option");
    Object.assign(this, { board, area, from: { x: event.clientX, y: event.clientY }, ending: new AbortController() });
    const { signal } = this.ending;
    head.setPointerCapture(event.pointerId);
    head.addEventListener("pointermove", (moved) => this.move(moved), { signal });
    head.addEventListener("pointerup", () => this.drop(), { signal });
    head.addEventListener("pointercancel", () => this.end(), { signal });
    addEventListener("keydown", (pressed) => pressed.key === "Escape" && this.cancel(pressed), { signal, capture: true });
    board.focus(this.option);
    this.scrolled = area.scrollTop;
  }

  move({ clientX: x, clientY: y }) {
    this.at = { x, y };
    if (!this.moving && Math.hypot(x - this.from.x, y - this.from.y) < SLACK) return;
    if (!this.moving) {
      this.moving = true;
      this.option.dataset.dragged = "";
      this.timer = setInterval(() => this.scroll(), 30);
    }
    this.follow();
  }

  follow() {
    const { x, y } = this.at;
    const scrolled = this.area.scrollTop - this.scrolled;
    this.option.style.transform = `translate(${x - this.from.x}px, ${y - this.from.y + scrolled}px)`;
    this.show(this.placeAt(x, y));
  }

  scroll() {
    const box = this.area.getBoundingClientRect();
    const by = this.at.y < box.top + EDGE ? -8 : this.at.y > box.bottom - EDGE ? 8 : 0;
    if (!by) return;
    this.area.scrollTop += by;
    this.follow();
  }

  // {element, how} of what is under the pointer
  placeAt(x, y) {
    const under = document.elementsFromPoint(x, y);
    const option = under.map((element) => element.closest(".option")).find((found) => found && found !== this.option);
    if (option && rankOf(option)) return { element: option, how: this.side(option, x, y) };
    if (under.some((element) => element === this.board.rest)) return { element: this.board.rest, how: "rest" };
    if (under.some((element) => element === this.board.tiers)) return { element: this.board.tiers, how: "end" };
    return null;
  }

  // The first and the last third of a card are its edges, along the way in which cards follow.
  side(option, x, y) {
    const box = option.getBoundingClientRect();
    const down = getComputedStyle(this.board.tiers).flexDirection === "column";
    const share = down ? (y - box.top) / box.height : (x - box.left) / box.width;
    const edge = this.board.ties ? 1 / 3 : 1 / 2;
    return share < edge ? "before" : share > 1 - edge ? "after" : "tie";
  }

  show(place) {
    this.place?.element.removeAttribute("data-drop");
    this.place = place;
    if (place) place.element.dataset.drop = place.how;
  }

  drop() {
    const { place, option, board } = this;
    this.end();
    if (!this.moving || !place) return;
    const { element, how } = place;
    if (how === "rest") board.unrank(option);
    else if (how === "tie") board.join(option, element);
    else {
      const groups = board.groups(option);
      const at = groups.findIndex((group) => group.includes(element));
      board.insert(option, how === "end" ? groups.length : how === "before" ? at : at + 1);
    }
    board.focus(option);
  }

  cancel(event) {
    event.preventDefault();
    event.stopPropagation();
    this.end();
  }

  end() {
    this.ending.abort();
    clearInterval(this.timer);
    this.show(null);
    this.option.style.transform = "";
    delete this.option.dataset.dragged;
  }
}
