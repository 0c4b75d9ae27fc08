// A pair with its votes: formulas, and the words that votes point at, marked in both texts.

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
