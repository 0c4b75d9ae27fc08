// Sets formulas: <span class="math">TeX</span> becomes KaTeX's HTML and MathML. The source stays in
// data-tex, for a formula counts as its source wherever places of a text are counted. What KaTeX
// cannot read stays the source.

import { load } from "./load.js";

const OPTIONS = { output: "htmlAndMathml", strict: "ignore", trust: false, throwOnError: true, maxExpand: 500, maxSize: 50 };

export async function renderMath(root) {
  const all = [...root.querySelectorAll(".math:not([data-tex])")];
  if (!all.length) return;
  for (const element of all) element.dataset.tex = element.textContent;
  try {
    await Promise.all([load("katex/katex.min.js"), load("katex/katex.min.css")]);
  } catch {
    return; // the source is read as well as it goes
  }
  for (const element of all) set(element);
}

function set(element) {
  const made = document.createElement("span");
  try {
    globalThis.katex.render(element.dataset.tex, made, { ...OPTIONS, displayMode: "display" in element.dataset });
  } catch {
    element.title = element.dataset.tex;
    return;
  }
  element.replaceChildren(...made.childNodes);
  element.dataset.set = "";
  if (element.scrollWidth > element.clientWidth && element.dataset.display !== undefined) element.tabIndex = 0;
}
