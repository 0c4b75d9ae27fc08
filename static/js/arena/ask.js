// The question's form: Ctrl+Enter sends it, and once it is on its way it cannot be sent twice.

const form = document.querySelector("#ask");

form?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("button:not([name])"));
});
// the button's own name travels with the form, so it is switched off after that was gathered
form?.addEventListener("submit", () => setTimeout(() => {
  for (const button of form.querySelectorAll("button")) button.disabled = true;
}));
window.addEventListener("pageshow", () => {
  for (const button of form?.querySelectorAll("button") ?? []) button.disabled = false;
});
