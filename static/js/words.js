// Words that scripts say, in the language of the page. The catalogue is served by the server and
// loaded before the modules; without it the words stay English.

const catalogue = () => globalThis.django;

export function gettext(words) {
  return catalogue()?.gettext(words) ?? words;
}

export function ngettext(one, many, count) {
  return catalogue()?.ngettext(one, many, count) ?? (count === 1 ? one : many);
}

// "%(count)s pairs", { count: 3 } → "3 pairs"
export function fill(words, values) {
  return words.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
}
