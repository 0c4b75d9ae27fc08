// The form of a project: of a new one the reasons that suit its modality, while nobody has written
// others; what suits the task.

const tags = document.querySelector("[data-words-of]");
const usual = JSON.parse(tags?.dataset.wordsOf ?? "{}");
const modality = tags?.form.elements.modality;

function suit() {
  const chosen = usual[modality.value];
  if (chosen && Object.values(usual).includes(tags.value.trim())) tags.value = chosen;
}

if (modality) {
  modality.addEventListener("change", suit);
  suit(); // a browser may have kept what was chosen before
}

// What a ranking has no place for is not asked for while one is chosen.
const ofPairs = [...document.querySelectorAll("[data-of-pairs]")].map((input) => input.closest(".field"));
const task = document.querySelector("select[name=task]");

function showOfPairs() {
  for (const field of ofPairs) field.hidden = task.value === "ranking";
}

if (ofPairs.length) {
  task.addEventListener("change", showOfPairs);
  showOfPairs();
}
