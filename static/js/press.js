// A press is lost where an answer of htmx replaces its button between down and up. So answers that
// come while something is pressed wait until it is let go.

const PRESSED = "button, a, summary";
let pressed = null; // until it is let go
let end = null;

function down({ target, button }) {
  // another button opens a menu, and who closes that is not told of
  if (!button && target.closest?.(PRESSED)) pressed ??= new Promise((resolve) => (end = resolve));
}

function up() {
  // the click itself comes after the pointer or the key is let go
  const letGo = end;
  setTimeout(() => {
    if (end === letGo) pressed = end = null;
    letGo?.();
  });
}

export function holdAnswersWhilePressed() {
  addEventListener("pointerdown", down, { capture: true });
  addEventListener("keydown", (event) => event.key === " " && down(event), { capture: true });
  addEventListener("keyup", ({ key }) => key === " " && up(), { capture: true });
  for (const sign of ["pointerup", "pointercancel"]) addEventListener(sign, up, { capture: true });
  addEventListener("blur", up); // the window's own: whatever is let go now, we are not told
  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    ctx.fetch = async (...asked) => {
      const answer = await fetch(...asked);
      while (pressed) await pressed;
      return answer;
    };
  });
}
