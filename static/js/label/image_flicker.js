// The button of the flicker: held it shows the other picture until it is let go, clicked it stays.
// Held while it stays, it shows the first one again: what is held is always the other of the two.

const CLICK = 350; // ms: a press that is shorter is a click

export class Flicker {
  // show: called with whether the other picture is to be seen
  constructor(button, show, signal) {
    this.button = button;
    this.show = show;
    this.stays = false;
    this.held = false;
    this.pressed = 0;
    const on = (target, name, handler) => target.addEventListener(name, handler, { signal });
    on(button, "pointerdown", (event) => this.press(event));
    on(button, "pointerup", (event) => this.lift(event));
    on(button, "pointercancel", (event) => this.lift(event));
    on(button, "click", (event) => this.click(event));
    on(button, "contextmenu", (event) => this.held && event.preventDefault()); // a long touch
    on(document, "keyup", () => !this.pressed && this.hold(false));
    on(window, "blur", (event) => this.lift(event));
  }

  press(event) {
    if (event.button) return;
    this.button.setPointerCapture(event.pointerId);
    this.pressed = event.timeStamp; // when it happened, not when a busy page heard of it
    this.hold(true);
  }

  lift(event) {
    this.wasClick = event.timeStamp - this.pressed < CLICK;
    this.pressed = 0;
    this.hold(false);
  }

  // detail 0: by the keyboard or a screen reader, without a pointer
  click(event) {
    if (event.detail && !this.wasClick) return;
    this.stays = !this.stays;
    this.update();
  }

  hold(on) {
    if (on === this.held) return;
    this.held = on;
    this.update();
  }

  off() {
    this.stays = this.held = false;
    this.update();
  }

  update() {
    this.button.setAttribute("aria-pressed", this.stays);
    this.show(this.stays !== this.held);
  }
}
