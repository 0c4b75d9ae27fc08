// A pair with its votes, or a set with its rankings: formulas, and what they point at, marked in the
// texts and the pictures.

import { drawBoxes } from "./label/image_boxes.js";
import { renderMath } from "./label/math.js";
import { ShownText } from "./label/spans.js";
import { paint, rangeOf } from "./label/text_marks.js";

renderMath(document);
const marks = JSON.parse(document.getElementById("marks").textContent);
for (const [side, shown] of Object.entries(marks)) {
  const root = document.querySelector(`.output-${side} .answer-text`);
  if (!root || !shown.length) continue;
  const text = new ShownText(root);
  paint(`mark-${side}`, shown.map((stretch) => rangeOf({ kind: "span", shown: stretch }, text)));
}

const boxes = JSON.parse(document.getElementById("boxes").textContent);
for (const [side, items] of Object.entries(boxes)) {
  const picture = document.querySelector(`.output-${side} .output-body img`);
  if (!picture || !items.length) continue;
  const over = document.createElement("span");
  over.className = "evidence-boxes";
  over.setAttribute("aria-hidden", "true"); // the votes tell the same in words
  picture.parentElement.classList.add("boxed");
  picture.after(over);
  drawBoxes(over, items);
}
