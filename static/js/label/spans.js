// The shown text of an answer and places in it. A formula counts as its TeX source, whatever was made
// of it. Within the page places are counted as JavaScript counts letters (UTF-16); the server counts
// code points, see `toPoints`.

export class ShownText {
  // root: the element that holds the rendered Markdown and nothing else
  constructor(root) {
    this.root = root;
    this.units = []; // {node, start, end, whole: a formula, marked all or not at all}
    let at = 0;
    const add = (node, text, whole) => {
      if (text) this.units.push({ node, start: at, end: at + text.length, whole });
      at += text.length;
      return text;
    };
    this.text = [...pieces(root)].map(([node, text, whole]) => add(node, text, whole)).join("");
  }

  // The range of the page that shows a stretch of the text.
  rangeOf(start, end) {
    const range = document.createRange();
    const first = this.#unitAt(start);
    const last = this.#unitAt(end - 1);
    if (!first || !last || end <= start) return null;
    if (first.whole) range.setStartBefore(first.node);
    else range.setStart(first.node, start - first.start);
    if (last.whole) range.setEndAfter(last.node);
    else range.setEnd(last.node, end - last.start);
    return range;
  }

  // The stretch of the text that a range of the page shows, without blanks at its ends; null where
  // that is nothing.
  stretchOf(range) {
    if (!range.intersectsNode(this.root)) return null;
    let start = this.#placeOf(range.startContainer, range.startOffset, false);
    let end = this.#placeOf(range.endContainer, range.endOffset, true);
    while (start < end && /\s/.test(this.text[start])) start += 1;
    while (start < end && /\s/.test(this.text[end - 1])) end -= 1;
    return start < end ? { start, end } : null;
  }

  // A stretch made wide enough to hold formulas as a whole.
  widened({ start, end }) {
    const first = this.#unitAt(start);
    const last = this.#unitAt(end - 1);
    return { start: first?.whole ? first.start : start, end: last?.whole ? last.end : end };
  }

  #unitAt(place) {
    let [low, high] = [0, this.units.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const unit = this.units[middle];
      if (place < unit.start) high = middle - 1;
      else if (place >= unit.end) low = middle + 1;
      else return unit;
    }
    return null;
  }

  #placeOf(container, offset, isEnd) {
    const point = document.createRange();
    point.setStart(container, offset);
    let [low, high] = [0, this.units.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      // 1: the unit begins behind the point
      if (point.comparePoint(this.units[middle].node, 0) > 0) high = middle;
      else low = middle + 1;
    }
    const unit = this.units[low - 1]; // the last one that begins at the point or before it
    if (!unit) return 0;
    if (unit.whole) return unit.node.contains(container) && !isEnd ? unit.start : unit.end;
    return unit.node === container ? unit.start + offset : unit.end;
  }
}

function* pieces(root) {
  for (const node of root.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) yield [node, node.data, false];
    else if (node.dataset?.tex !== undefined) yield [node, node.dataset.tex, true];
    else if (node.nodeType === Node.ELEMENT_NODE) yield* pieces(node);
  }
}

// How many code points stand before a place of a text.
export function toPoints(text, place) {
  let count = 0;
  for (let at = 0; at < place; count += 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return count;
}

// The place in a text before which so many code points stand.
export function fromPoints(text, count) {
  let at = 0;
  for (let done = 0; done < count && at < text.length; done += 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}
