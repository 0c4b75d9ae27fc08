// Evidence boxes over a picture. Boxes are fractions of the picture, 0 to 1.

const LEAST = 0.005; // of the picture: what is smaller was no box

const SIGNS = { good: "+", bad: "−" };

// Draws the boxes among the pieces of evidence into a container that covers the picture and is
// positioned; what it held before goes. An item may bring the number that it is known by; else it
// is its place in the list. Looks come from label/boxes.css.
export function drawBoxes(container, items) {
  const boxes = items.map((item, index) => [item, item.number ?? index + 1]).filter(([item]) => item.kind === "box");
  container.replaceChildren(...boxes.map(([item, number]) => boxElement(item, number)));
}

function boxElement(item, number) {
  const element = document.createElement("span");
  element.className = "evidence-box";
  element.dataset.side = item.side;
  element.dataset.number = number;
  if (item.note) element.title = item.note;
  placeBox(element, item);
  const label = document.createElement("span");
  label.textContent = `${number}${SIGNS[item.says] ? ` ${SIGNS[item.says]}` : ""}`;
  element.append(label);
  return element;
}

export function placeBox(element, box) {
  element.style.left = `${100 * box.x}%`;
  element.style.top = `${100 * box.y}%`;
  element.style.width = `${100 * box.width}%`;
  element.style.height = `${100 * box.height}%`;
}

const within = (value) => Math.min(1, Math.max(0, value));
const rounded = (value) => Math.round(1e4 * value) / 1e4;

// Between two corners, whichever way it was drawn and however far out.
export function boxBetween(one, other) {
  const [left, right] = [within(one.x), within(other.x)].sort((a, b) => a - b);
  const [top, bottom] = [within(one.y), within(other.y)].sort((a, b) => a - b);
  return rounding({ x: left, y: top, width: right - left, height: bottom - top });
}

// To 4 decimals, and still within the picture after that.
export function rounding({ x, y, width, height }) {
  const [left, top] = [rounded(x), rounded(y)];
  return {
    x: left,
    y: top,
    width: Math.min(rounded(width), rounded(1 - left)),
    height: Math.min(rounded(height), rounded(1 - top)),
  };
}

export function isBox({ width, height }) {
  return width >= LEAST && height >= LEAST;
}

export function moved(box, dx, dy) {
  const x = Math.min(1 - box.width, Math.max(0, box.x + dx));
  const y = Math.min(1 - box.height, Math.max(0, box.y + dy));
  return rounding({ ...box, x, y });
}

export function resized(box, dx, dy) {
  const width = Math.min(1 - box.x, Math.max(0.01, box.width + dx));
  const height = Math.min(1 - box.y, Math.max(0.01, box.height + dy));
  return rounding({ ...box, width, height });
}
