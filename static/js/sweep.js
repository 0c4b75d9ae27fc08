// How many runs the form asks for, counted anew at every change; forms.py counts by the same rule.

const form = document.querySelector(".sweep-form");
const said = document.getElementById("sweep-runs");

function count(name) {
  const word = form.elements.namedItem(name).value.trim();
  return /^\d{1,6}$/.test(word) ? Number(word) : 0;
}

function show() {
  const several = ["objective_2", "objective_3"].some((name) => form.elements.namedItem(name).value);
  const usual = form.elements.namedItem("with_usual").checked ? 1 : 0;
  const n = { trials: count("trials"), tuning: count("tuning_count"), test: count("test_count") };
  n.tested = (several ? count("winners") : 1) + usual;
  n.total = n.trials * n.tuning + n.tested * n.test;
  for (const place of said.querySelectorAll("[data-n]")) {
    const word = String(n[place.dataset.n]);
    if (place.textContent !== word) place.textContent = word;
  }
}

if (form && said) {
  form.addEventListener("input", show);
  show();
}
