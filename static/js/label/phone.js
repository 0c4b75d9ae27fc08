// One answer at a time on a narrow screen: turned to by its letter or a swipe, and the other one
// looked at while "compare" is held.

export function begin() {
  document.addEventListener("click", (event) => {
    const tab = event.target.closest(".side-tabs a");
    if (!tab) return;
    event.preventDefault();
    turn(document.querySelector(tab.hash));
  });
  document.addEventListener("pointerdown", (event) => {
    const button = event.target.closest("[data-compare]");
    if (!button) return;
    event.preventDefault();
    hold(button);
  });
  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.("[data-compare]");
    if (!button || event.repeat || ![" ", "Enter"].includes(event.key)) return;
    event.preventDefault();
    hold(button);
  });
  // a long touch opens no menu here
  document.addEventListener("contextmenu", (event) => event.target.closest("[data-compare]") && event.preventDefault());
}

function turn(answer, behavior = "auto") {
  const row = answer.parentElement;
  row.scrollTo({ left: answer.offsetLeft - row.offsetLeft, behavior });
}

function hold(button) {
  const card = button.closest("#card");
  const now = card.querySelector(".side-tabs a[data-on]") ?? card.querySelector(".side-tabs a");
  const other = [...card.querySelectorAll(".side-tabs a")].find((tab) => tab !== now);
  const places = [now, other].map((tab) => card.querySelector(tab.hash));
  const ending = new AbortController();
  // both are read at the same height
  alike(...places);
  turn(places[1], "instant");
  const back = () => {
    ending.abort();
    turn(places[0], "instant");
  };
  for (const sign of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(sign, back, { signal: ending.signal });
}

function alike(from, to) {
  const [one, other] = [from, to].map((answer) => answer.querySelector(".answer-body"));
  const room = one.scrollHeight - one.clientHeight;
  if (room > 0) other.scrollTop = (one.scrollTop / room) * (other.scrollHeight - other.clientHeight);
}
