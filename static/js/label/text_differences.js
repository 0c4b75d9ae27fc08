// Words that one answer has and the other has not, marked on both sides.

import { fill, gettext, ngettext } from "../words.js";
import { load } from "./load.js";
import { paint } from "./text_marks.js";

const MOST_WORDS = 40_000; // of both answers together
const PATIENCE = 1500; // milliseconds
const SHORT = 12; // words up to which an answer is compared whatever it has in common
const SHARED = 0.1; // of both answers' words: with fewer in common, all would be marked and none stand out

// texts: {a, b: ShownText}. Marks them; {a, b: how many words, words: that in a sentence}.
export async function markDifferences(texts) {
  const words = { a: split(texts.a.text), b: split(texts.b.text) };
  if (words.a.length + words.b.length > MOST_WORDS) return { words: gettext("These answers are too long to be compared word by word.") };
  await load("diff.min.js");
  const text = (word) => word.text;
  const parts = globalThis.Diff.diffArrays(words.a.map(text), words.b.map(text), { timeout: PATIENCE });
  if (!parts) return { words: gettext("These answers have too little in common to be compared word by word.") };
  const found = { a: changed(parts, words.a, "removed"), b: changed(parts, words.b, "added") };
  if (shared(words.a, found.a.count) < SHARED && shared(words.b, found.b.count) < SHARED) {
    return { words: gettext("These answers have hardly a word in common.") };
  }
  for (const place of ["a", "b"]) {
    paint(`differs-${place}`, found[place].stretches.map(({ start, end }) => texts[place].rangeOf(start, end)), 1);
  }
  return { a: found.a.count, b: found.b.count, words: summary(found.a.count, found.b.count) };
}

export function clearDifferences() {
  for (const place of ["a", "b"]) paint(`differs-${place}`, []);
}

function split(text) {
  const segments = new Intl.Segmenter(undefined, { granularity: "word" }).segment(text);
  return [...segments]
    .filter(({ segment }) => segment.trim())
    .map(({ segment, index, isWordLike }) => ({ text: segment, start: index, end: index + segment.length, isWordLike }));
}

// The stretches of one side that the other has not, neighbours as one.
function changed(parts, words, kind) {
  const stretches = [];
  let [at, count] = [0, 0];
  for (const part of parts) {
    if (part[kind]) {
      const own = words.slice(at, at + part.count);
      stretches.push({ start: own[0].start, end: own.at(-1).end });
      count += own.filter((word) => word.isWordLike).length;
    }
    if (part[kind] || !(part.added || part.removed)) at += part.count;
  }
  return { stretches, count };
}

function shared(words, changedCount) {
  const all = words.filter((word) => word.isWordLike).length;
  return all > SHORT ? 1 - changedCount / all : 1;
}

function summary(a, b) {
  if (!a && !b) return gettext("No word differs.");
  const only = (side, n) => fill(ngettext("%(n)s word only in %(side)s", "%(n)s words only in %(side)s", n), { n, side });
  return `${only("A", a)}, ${only("B", b)}.`;
}
