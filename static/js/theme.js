// Runs before the first paint, so that a page never flashes in the other colours.
const kept = (() => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // storage is closed to us: the system's choice stands
  }
})();
if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
