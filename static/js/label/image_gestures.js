// Wheel, mouse and fingers over a window with pictures. At fit one finger is left to the page,
// which swipes between the sides with it.

const CONTROLS = "a, button, [role=slider]";
const WHEEL = { 0: 0.002, 1: 0.05, 2: 0.5 }; // by deltaMode: pixels, lines, pages
const PINCH = 0.01; // a track pad's pinch comes as a wheel with Ctrl

// viewer: {isZoomed(), zoomBy(target, factor, point), panBy(target, dx, dy), toggleAt(target, point),
//          pen(target): null | {begin(point), to(point), end(keep)}}; points are in the window.
export function listenTo(target, viewer, signal) {
  const fingers = new Map(); // pointer → its last point
  let drawing = null;
  const on = (name, handler, options = {}) => target.addEventListener(name, handler, { signal, ...options });

  on("wheel", (event) => {
    if (event.deltaY > 0 && !viewer.isZoomed() && !event.ctrlKey) return; // nothing to leave
    event.preventDefault();
    const speed = event.ctrlKey ? PINCH : WHEEL[event.deltaMode];
    viewer.zoomBy(target, Math.exp(-event.deltaY * speed), pointOf(event, target));
  }, { passive: false });

  on("dblclick", (event) => {
    if (!event.target.closest(CONTROLS)) viewer.toggleAt(target, pointOf(event, target));
  });

  on("pointerdown", (event) => {
    if (event.button || event.target.closest(CONTROLS)) return;
    fingers.set(event.pointerId, pointOf(event, target));
    drawing?.end(false); // a second finger means to pinch
    drawing = fingers.size === 1 ? viewer.pen(target) : null;
    drawing?.begin(pointOf(event, target));
    if (drawing || viewer.isZoomed() || fingers.size > 1) target.setPointerCapture(event.pointerId);
  });

  on("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = pointOf(event, target);
    const [one, other] = fingers.values();
    fingers.set(event.pointerId, now);
    if (drawing) return drawing.to(now);
    if (fingers.size === 2) pinch([one, other], [...fingers.values()]);
    else if (fingers.size === 1 && viewer.isZoomed()) viewer.panBy(target, now.x - before.x, now.y - before.y);
  });

  function pinch(before, now) {
    const [from, to] = [between(before), between(now)];
    viewer.panBy(target, to.x - from.x, to.y - from.y);
    viewer.zoomBy(target, apart(now) / Math.max(1, apart(before)), to);
  }

  function lift(event) {
    if (!fingers.delete(event.pointerId)) return;
    drawing?.end(event.type === "pointerup");
    drawing = null;
  }
  on("pointerup", lift);
  on("pointercancel", lift);

  // without this the page scrolls with two fingers, and the browser takes them away from here
  const keep = (event) => event.touches.length > 1 && event.preventDefault();
  on("touchstart", keep, { passive: false });
  on("touchmove", keep, { passive: false });
}

export function pointOf(event, target) {
  const box = target.getBoundingClientRect();
  return { x: event.clientX - box.left - target.clientLeft, y: event.clientY - box.top - target.clientTop };
}

const between = ([one, other]) => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
const apart = ([one, other]) => Math.hypot(one.x - other.x, one.y - other.y);
