// The form of a new project: reasons that suit the modality, while nobody has written others.

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
