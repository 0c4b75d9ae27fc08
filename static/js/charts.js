// A chart as a file: its SVG as the page shows it now, colours and title written into it, or drawn
// from that as a PNG of twice its size.

const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin",
  "vector-effect", "font-family", "font-size", "font-weight", "opacity", "text-anchor",
];
const NS = "http://www.w3.org/2000/svg";
const EDGE = 16;

// what an SVG outside of a browser can read: rgb() and an opacity
function plain(value) {
  if (!/^(color|oklab|oklch|lab)\(/.test(value)) return value;
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = value;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
}

// a colour out of light-dark() is only known where it is used
function colourOf(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = plain(getComputedStyle(probe).color);
  probe.remove();
  return value;
}

function dress(copy, shown) {
  const style = getComputedStyle(shown);
  copy.removeAttribute("style");
  copy.removeAttribute("class");
  for (const name of LOOKS) copy.style.setProperty(name, plain(style.getPropertyValue(name)));
  [...shown.children].forEach((child, at) => {
    if (!["title", "desc"].includes(child.localName)) dress(copy.children[at], child);
  });
}

function words(text, y, weight, colour) {
  const line = document.createElementNS(NS, "text");
  line.setAttribute("x", EDGE);
  line.setAttribute("y", y);
  line.setAttribute("style", `font: ${weight} 13px system-ui, sans-serif; fill: ${colour}`);
  line.textContent = text.replace(/\s+/g, " ").trim();
  return line;
}

// names that stand beside a chart as words of the page
function beside(figure, plot, left, top) {
  const from = plot.getBoundingClientRect();
  return [...figure.querySelectorAll(".names span, .values span, .legend li")].map((one) => {
    const box = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    const line = words(one.textContent, top + box.top - from.top + box.height / 2 + 4, style.fontWeight, style.color);
    line.setAttribute("x", left + box.left - from.left);
    if (one.matches("li")) {
      const mark = getComputedStyle(one, "::before");
      const key = document.createElementNS(NS, "rect");
      key.setAttribute("x", left + box.left - from.left);
      key.setAttribute("y", top + box.top - from.top + box.height / 2 - 2);
      key.setAttribute("width", 14);
      key.setAttribute("height", 4);
      key.setAttribute("style", `fill: ${mark.backgroundColor}`);
      line.setAttribute("x", left + box.left - from.left + 20);
      const both = document.createElementNS(NS, "g");
      both.append(key, line);
      return both;
    }
    return line;
  });
}

function drawn(figure) {
  const plot = figure.querySelector("svg");
  const frame = figure.getBoundingClientRect();
  const box = plot.getBoundingClientRect();
  const gutter = Math.max(0, box.left - frame.left, -plot.getBBox().x);
  const [left, above] = [EDGE + gutter, box.top - frame.top];
  const top = EDGE + Math.max(above, 24);
  const right = Math.max(frame.right - box.right, 8);
  const width = Math.ceil(left + box.width + right + EDGE);
  const shown = [...figure.querySelectorAll(".legend")].map((one) => one.getBoundingClientRect().bottom);
  const height = Math.ceil(top + Math.max(box.bottom, ...shown) - box.top + EDGE);
  const body = getComputedStyle(document.body);
  const paper = colourOf("--paper");
  const picture = document.createElementNS(NS, "svg");
  picture.setAttribute("xmlns", NS);
  picture.setAttribute("width", width);
  picture.setAttribute("height", height);
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const ground = document.createElementNS(NS, "rect");
  ground.setAttribute("width", width);
  ground.setAttribute("height", height);
  ground.setAttribute("style", `fill: ${paper}`);
  const copy = plot.cloneNode(true);
  dress(copy, plot);
  copy.setAttribute("x", left);
  copy.setAttribute("y", top);
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  copy.setAttribute("overflow", "visible");
  const title = words(figure.querySelector("figcaption").textContent, EDGE + 13, 600, body.color);
  picture.append(ground, title, copy, ...beside(figure, plot, left, top));
  return { picture, width, height };
}

function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function asPicture(text, width, height) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export async function keepChart(button) {
  const { picture, width, height } = drawn(button.closest("figure"));
  const text = new XMLSerializer().serializeToString(picture);
  const { chartAs, file } = button.dataset;
  const blob = chartAs === "svg"
    ? new Blob([text], { type: "image/svg+xml" })
    : await asPicture(text, width, height);
  keep(blob, `${file}.${chartAs}`);
}
