// A card's form as a list of [name, value], and back.

const NOT_SAID = ["csrfmiddlewaretoken", "pair", "uuid", "done", "total", "duration_ms", "exposure", "supersedes", "training"];

export function fieldsOf(form) {
  return [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
}

// What somebody has put in, without what the page itself does.
export function saidIn(form) {
  return fieldsOf(form).filter(([name]) => !NOT_SAID.includes(name));
}

// Puts a list back; fields that it does not name are emptied.
export function putInto(form, fields) {
  for (const input of form.elements) {
    if (!input.name || NOT_SAID.includes(input.name)) continue;
    const values = fields.filter(([name]) => name === input.name).map(([, value]) => value);
    if (input.matches("[type=radio], [type=checkbox]")) input.checked = values.includes(input.value);
    else if (values.length || input.type !== "hidden") input.value = values[0] ?? "";
  }
  const correction = form.querySelector(".correction");
  if (correction && correction.querySelector("textarea").value) correction.open = true;
}
