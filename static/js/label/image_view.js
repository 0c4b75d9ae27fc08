// Where pictures lie in their windows. All windows of a card share one view: how far it is zoomed
// in (1: the whole picture fits) and which point of the picture, in fractions, is in the middle.
// Pictures of different sizes so keep the same part in sight. Lengths are CSS pixels.

const PIXEL_ART_MOST = 384; // pixel art is not enlarged beyond this when it fits
const DEEPEST = 16; // CSS pixels for a pixel of the picture
const MIDDLE = { x: 0.5, y: 0.5 };

export const whole = () => ({ zoom: 1, ...MIDDLE });

// CSS pixels for a pixel of the picture when all of it is to be seen: photographs are not
// enlarged, pixel art is by whole pixels.
export function fitScale(picture, { width, height }) {
  const fit = Math.min(width / picture.width, height / picture.height);
  if (!picture.pixelated) return Math.min(1, fit);
  const most = Math.min(fit, PIXEL_ART_MOST / Math.max(picture.width, picture.height));
  return most < 1 ? Math.min(1, fit) : Math.floor(most);
}

// The same where pictures lie over each other: all take the room of the largest, for what is to be
// compared has to have one size.
export function fitTogether(picture, others, size) {
  const rooms = others.map((other) => [other, fitScale(other, size)]);
  const width = Math.max(...rooms.map(([other, scale]) => other.width * scale));
  const height = Math.max(...rooms.map(([other, scale]) => other.height * scale));
  return Math.min(width / picture.width, height / picture.height);
}

// Left, top, width and height of the picture in a window. frame: {width, height} of the window and
// the scale at which the picture fits it.
export function lay(view, picture, frame) {
  const scale = frame.fit * view.zoom;
  const width = picture.width * scale;
  const height = picture.height * scale;
  return { left: edge(frame.width, width, view.x), top: edge(frame.height, height, view.y), width, height, scale };
}

function edge(room, length, centre) {
  if (length <= room) return (room - length) / 2;
  return Math.min(0, Math.max(room - length, room / 2 - centre * length));
}

export function deepest(frames) {
  return Math.max(...frames.map((frame) => Math.max(8, DEEPEST / frame.fit)));
}

// The zoom at which the largest picture is shown pixel for pixel; where all fit so, twice that.
export function natural(frames) {
  const zoom = Math.max(...frames.map((frame) => 1 / frame.fit));
  return zoom > 1.02 ? zoom : 2;
}

// The view at another zoom, in which the point of the window keeps its place of the picture.
export function zoomed(view, zoom, picture, frame, point) {
  const before = lay(view, picture, frame);
  const after = lay({ ...view, zoom }, picture, frame);
  return {
    zoom,
    x: centre(point.x, before.left, before.width, frame.width, after.width),
    y: centre(point.y, before.top, before.height, frame.height, after.height),
  };
}

function centre(point, start, length, room, newLength) {
  const fraction = Math.min(1, Math.max(0, (point - start) / length));
  return fraction + (room / 2 - point) / newLength;
}

export function panned(view, dx, dy, picture, frame) {
  const { width, height } = lay(view, picture, frame);
  return { ...view, x: view.x - dx / width, y: view.y - dy / height };
}

// No further than the edge of the picture that has most to show.
export function kept(view, pairs) {
  if (view.zoom <= 1) return whole();
  const laid = pairs.map(([picture, frame]) => [lay(view, picture, frame), frame]);
  return {
    zoom: view.zoom,
    x: clamped(view.x, Math.min(...laid.map(([at, frame]) => frame.width / 2 / at.width))),
    y: clamped(view.y, Math.min(...laid.map(([at, frame]) => frame.height / 2 / at.height))),
  };
}

function clamped(value, margin) {
  const least = Math.min(0.5, margin);
  return Math.min(1 - least, Math.max(least, value));
}
