// Settings that mean nothing beside another one are hidden; they keep their values and are sent.

const form = document.getElementById("training-form");

function value(name) {
  const field = form.elements.namedItem(name);
  if (!field) return "";
  return field.type === "checkbox" ? (field.checked ? "on" : "") : field.value;
}

function means({ name, values }) {
  const now = value(name);
  return values.some((wanted) => (wanted === "!0" ? now !== "" && Number(now) !== 0 : wanted === now));
}

function show() {
  for (const box of form.querySelectorAll("[data-when]")) {
    // one that is wrong must be seen
    const wrong = box.querySelector(".has-errors");
    box.hidden = !wrong && !means(JSON.parse(box.dataset.when));
  }
}

if (form) {
  form.addEventListener("input", show);
  // a browser says nothing of a field that is wrong and cannot be seen
  form.addEventListener(
    "invalid",
    ({ target }) => {
      for (let box = target.parentElement; box && box !== form; box = box.parentElement) {
        box.hidden = false;
        if (box instanceof HTMLDetailsElement) box.open = true;
      }
    },
    true,
  );
  show();
  // what was found stands below the form where there is no room beside it
  const found = document.getElementById("preflight");
  if (found && found.getBoundingClientRect().top > window.innerHeight) found.scrollIntoView();
}
