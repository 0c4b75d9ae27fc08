// Which pairs people are asked about is a question only where several new models may meet.

const form = document.getElementById("evaluation-form");
const pairs = form?.elements.namedItem("pairs");
const box = pairs?.closest(".field");

function show() {
  const several = form.querySelectorAll('[name="candidates"]:checked').length > 1;
  // one that is wrong must be seen
  box.hidden = !several && !box.classList.contains("has-errors");
  if (box.hidden) pairs.value = "all";
}

if (box) {
  form.addEventListener("change", show);
  show();
}
