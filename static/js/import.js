// The columns are asked for only where the format is “Plain columns”; without this script they
// are always there, and count only then.
const format = document.querySelector("#read select[name=format]");
const mapping = document.querySelector("#mapping");

function show() {
  mapping.hidden = format.value !== "mapped";
}

format?.addEventListener("change", show);
if (format) show();
