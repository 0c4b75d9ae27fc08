// Curves of a run that grow while it goes on. The server has drawn charts already; where scripts
// run, uPlot takes their place and asks every two seconds for the steps that are new.

import { fill, gettext } from "./words.js";

const EVERY = 2000;
const SERIES = ["--side-a", "--side-b"];
const AXIS_FONT = "12px system-ui, sans-serif";
const TABLE_ROWS = 200;
const MAX_POINTS = 3000;

const place = document.getElementById("curves");
const known = new Map(); // metric name → Map(step → value)
const charts = new Map(); // panel title → what is drawn
const panels = [];
let words = {}; // what metrics are called
let last = null;

function colour(name) {
  // a colour out of light-dark() is only known where it is used
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  place.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function shown(value) {
  return value === null || value === undefined ? "–" : Number(value).toPrecision(4);
}

function called(name) {
  return words[name] ?? name.replaceAll("_", " ");
}

function take(body) {
  words = { ...words, ...body.words };
  for (const [name, { steps, values }] of Object.entries(body.curves)) {
    if (!known.has(name)) known.set(name, new Map());
    const points = known.get(name);
    steps.forEach((step, i) => {
      points.set(step, values[i]);
      last = Math.max(last ?? 0, step);
    });
  }
}

function columns(names) {
  const steps = [...new Set(names.flatMap((name) => [...(known.get(name)?.keys() ?? [])]))];
  steps.sort((a, b) => a - b);
  // undefined (never measured here) is bridged by the line, null (not a number) is a gap
  return [steps, ...names.map((name) => steps.map((step) => known.get(name)?.get(step)))];
}

// the colour is told by the name, whatever arrives first; charts.py goes by the same rule
function second(name) {
  return name.startsWith("test") || name.endsWith("rejected") ? 1 : 0;
}

function inOrder(names) {
  return [...names].sort((a, b) => second(a) - second(b) || (a < b ? -1 : 1));
}

function colours(names) {
  const chosen = new Map();
  for (const name of inOrder(names)) {
    let one = second(name);
    while ([...chosen.values()].includes(one) && chosen.size < SERIES.length) one = (one + 1) % SERIES.length;
    chosen.set(name, one);
  }
  return chosen;
}

// as wide as the longest label wants
function room(plot, labels, index, cycle) {
  const { font, ticks, gap, _size } = plot.axes[index];
  if (cycle > 1) return _size; // it has been measured; a second look would never end
  plot.ctx.font = font[0];
  const widths = (labels ?? []).map((label) => plot.ctx.measureText(label).width / devicePixelRatio);
  return Math.ceil(Math.max(0, ...widths) + ticks.size + gap + 2);
}

function axis(side) {
  return {
    font: AXIS_FONT,
    stroke: () => colour("--ink-2"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line-strong"), width: 1 },
    ...side,
  };
}

function options(panel, width) {
  const chosen = colours(panel.names);
  const series = panel.names.map((name) => ({
    label: name,
    stroke: () => colour(SERIES[chosen.get(name)]),
    width: 1.75,
    dash: name.startsWith("test_") ? [6, 4] : undefined,
    points: { show: name.startsWith("test_") ? true : undefined },
  }));
  return {
    width,
    height: 200,
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false } },
    scales: { x: { time: false }, y: { range: (_, low, high) => around(low, high) } },
    axes: [axis({ size: 34 }), axis({ size: room, values: (_, ticks) => ticks.map(tick) })],
    series: [{}, ...series],
    hooks: { setCursor: [(plot) => legend(charts.get(panel.title), plot.cursor.idx)] },
  };
}

// a lone number, or one that never changes, in the middle of an axis of its own size
function around(low, high) {
  if (low === null || high === null) return [0, 1];
  if (low !== high) return uPlot.rangeNum(low, high, 0.1, true);
  const pad = Math.abs(low) / 10 || 1;
  return [low - pad, high + pad];
}

function tick(value) {
  if (value === null) return "";
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e6)) return String(Number(value.toPrecision(6)));
  const [digits, power] = value.toExponential(3).split("e");
  return `${Number(digits)}e${Number(power)}`;
}

function open(panel, given) {
  const names = [...panel.names];
  const box = given ?? drawnByServer(names) ?? document.createElement("div");
  box.className = "panel";
  box.dataset.names = names.join(",");
  box.innerHTML =
    '<h3><span></span> <small class="at muted"></small></h3><ul class="legend"></ul><div class="plot" role="img"></div><details><summary></summary><div class="table-scroll" tabindex="0" role="region"></div></details>';
  box.querySelector("h3 span").textContent = panel.title;
  box.querySelector(".table-scroll").setAttribute("aria-label", panel.title);
  box.querySelector("summary").textContent = gettext("Show data");
  if (!box.isConnected) place.append(box);
  const chart = { panel, names, box, data: columns(names) };
  const plot = box.querySelector(".plot");
  charts.set(panel.title, chart);
  chart.plot = new uPlot(options(panel, plot.clientWidth), chart.data, plot);
  chart.resized = new ResizeObserver(() => chart.plot.setSize({ width: plot.clientWidth, height: 200 }));
  chart.resized.observe(plot);
  box.querySelector("details").addEventListener("toggle", () => table(chart));
  return chart;
}

// its panel may know fewer names than have come since
function drawnByServer(names) {
  return [...place.querySelectorAll(".panel")].find((box) => box.dataset.names.split(",").some((name) => names.includes(name)));
}

function close(chart) {
  chart.resized.disconnect();
  chart.plot.destroy();
  return chart.box;
}

function legend(chart, index) {
  if (!chart) return;
  const { data, panel, box } = chart;
  const at = index ?? data[0].length - 1;
  const chosen = colours(panel.names);
  const lines = panel.names.map((name, i) => {
    const item = document.createElement("li");
    item.className = `series-${chosen.get(name)}`;
    const value = document.createElement("strong");
    value.textContent = shown(index == null ? newest(data[i + 1]) : data[i + 1][at]);
    item.append(`${called(name)} `, value);
    return item;
  });
  box.querySelector(".at").textContent = fill(gettext("step %(step)s"), { step: data[0][at] ?? "–" });
  box.querySelector(".legend").replaceChildren(...lines);
  if (index == null) {
    const told = panel.names.map((name, i) => `${called(name)} ${shown(newest(data[i + 1]))}`);
    box.querySelector(".plot").setAttribute("aria-label", fill(gettext("%(title)s by step, now: %(values)s"), { title: panel.title, values: told.join(", ") }));
  }
}

function newest(values) {
  return values.findLast((value) => value !== undefined);
}

function table({ box, panel, data }) {
  if (!box.querySelector("details").open) return;
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const name of [gettext("step"), ...panel.names]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = "num";
    cell.textContent = called(name);
    head.append(cell);
  }
  const body = made.createTBody();
  const rows = data[0].map((_, i) => i).slice(-TABLE_ROWS).reverse();
  for (const i of rows) {
    const row = body.insertRow();
    data.forEach((column, j) => {
      const cell = row.insertCell();
      cell.className = "num";
      cell.textContent = j === 0 ? column[i] : shown(column[i]);
    });
  }
  const hidden = data[0].length - rows.length;
  if (hidden > 0) made.createCaption().textContent = fill(gettext("the newest %(shown)s steps; %(hidden)s older ones are not listed"), { shown: rows.length, hidden });
  box.querySelector(".table-scroll").replaceChildren(made);
}

function draw() {
  for (const panel of panels) {
    let chart = charts.get(panel.title);
    // one look at the machine makes no curve; where the server has drawn its dot, that stays
    if (!chart && panel.names.every((name) => name.startsWith("resource_")) && columns(panel.names)[0].length < 2) continue;
    if (!chart) chart = open(panel);
    else if (chart.names.join() !== panel.names.join()) chart = open(panel, close(chart));
    chart.data = columns(panel.names);
    chart.plot.setData(chart.data);
    legend(chart, null);
    table(chart);
  }
  if (panels.length) place.querySelector(":scope > .empty")?.remove();
}

function merge(found) {
  // a later look may know only some of a panel's names
  for (const panel of found) {
    const drawn = panels.find((one) => one.title === panel.title);
    const names = inOrder(new Set([...(drawn?.names ?? []), ...panel.names]));
    if (drawn) drawn.names = names;
    else panels.push({ ...panel, names });
  }
}

async function ask() {
  const many = Math.max(0, ...[...known.values()].map((points) => points.size)) > MAX_POINTS;
  if (many) {
    known.clear();
    last = null;
  }
  const url = last === null ? place.dataset.url : `${place.dataset.url}?after=${last}`;
  let active = true;
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    if (response.ok) {
      const body = await response.json();
      active = body.active;
      take(body);
      merge(body.panels);
      draw();
    }
  } catch {
    // the page's own word about a server that cannot be reached is enough; it is tried again
  }
  if (active && "live" in place.dataset) setTimeout(ask, document.hidden ? 5 * EVERY : EVERY);
}

function recolour() {
  for (const { plot } of charts.values()) plot.redraw(false, true);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
ask();
