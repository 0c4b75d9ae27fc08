// The labelling page: sends verdicts and keeps each until the server has it. htmx swaps the cards;
// without this script the form is a plain one.

import { Exposure } from "./label/exposure.js";
import { focusTitle, listen } from "./label/keys.js";
import { Outbox } from "./label/outbox.js";
import * as status from "./label/status.js";

const HEADER = "Steelyard-Label"; // the server's word for what became of a verdict
const PATIENCE = [1, 2, 4, 8, 15, 30]; // seconds between attempts

const first = document.getElementById("card");
const outbox = new Outbox(first.dataset.project, first.dataset.annotator);
let exposure = null;
let attempts = 0;
let timer = null;

const form = () => document.getElementById("verdict");
const field = (name) => form().elements.namedItem(name);

function begin() {
  exposure?.stop();
  exposure = form() ? new Exposure(document.getElementById("card")) : null;
  attempts = 0;
  // made here, so that the verdict has its name before it leaves; needs a secure context
  if (form() && crypto.randomUUID) field("uuid").value = crypto.randomUUID();
}

function submit() {
  if (form() && !form().inert) form().requestSubmit();
}

function measure(event) {
  if (event.target !== form() || attempts) return;
  const seen = exposure.read();
  field("duration_ms").value = seen.visible_ms;
  field("exposure").value = JSON.stringify(seen);
}

function sent(event) {
  if (event.target !== form()) return;
  const fields = [...new URLSearchParams(event.detail.ctx.request.body)];
  outbox.keep(field("uuid").value, fields);
  form().inert = true; // what is on its way is not changed
  status.sending();
}

function answered(event) {
  if (event.target !== form()) return;
  const { response } = event.detail.ctx;
  const became = response.headers.get(HEADER);
  if (!became) {
    event.preventDefault();
    return later(reason(response));
  }
  outbox.drop(field("uuid").value);
  if (became === "saved") status.saved();
  else status.told("");
}

function reason(response) {
  const away = response.raw.redirected || response.headers.has("HX-Redirect") || response.headers.has("HX-Refresh");
  if (away || response.status === 401) return "you are signed out; sign in in another tab";
  if (response.status === 403) return "the server does not know this page any more; load it again";
  if (response.status === 404) return "this project is closed to you";
  return `the server has a problem (${response.status})`;
}

function later(words) {
  status.waiting(words);
  clearTimeout(timer);
  timer = setTimeout(again, 1000 * PATIENCE[Math.min(attempts, PATIENCE.length - 1)]);
  attempts += 1;
}

function again() {
  clearTimeout(timer);
  if (attempts && form()) form().requestSubmit();
  else resume();
}

// Verdicts that an earlier page could not get rid of: on this very pair they are said again here,
// others go by themselves.
async function resume() {
  for (const [uuid, fields] of outbox.all()) {
    const said = new Map(fields);
    if (form() && said.get("pair") === field("pair").value) {
      fill(fields);
      attempts = Math.max(attempts, 1);
      return form().requestSubmit();
    }
    if (!(await sendAlone(uuid, fields))) return later("no connection");
  }
}

function fill(fields) {
  for (const [name, value] of fields) {
    for (const input of form().querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (input.matches("[type=radio], [type=checkbox]")) input.checked ||= input.value === value;
      else if (!["done", "total"].includes(name)) input.value = value;
    }
  }
}

async function sendAlone(uuid, fields) {
  const address = document.getElementById("card").dataset.submit;
  const token = JSON.parse(document.body.getAttribute("hx-headers:inherited") ?? "{}");
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { ...token, "HX-Request": "true" },
      body: new URLSearchParams(fields),
    });
    if (!response.headers.get(HEADER)) return false;
    outbox.drop(uuid);
    status.saved();
    return true;
  } catch {
    return false;
  }
}

function swapped(afterVerdict) {
  const card = document.getElementById("card");
  begin();
  // a page that waits for pairs looks again and again: only a pair is worth moving the focus for
  if (afterVerdict || form()) focusTitle(card.firstElementChild);
  if (afterVerdict) status.pace(Number(card.dataset.left));
}

function showKeys() {
  document.getElementById("keys").showModal();
}

document.addEventListener("submit", measure, true);
document.addEventListener("htmx:before:request", sent);
document.addEventListener("htmx:before:response", answered);
document.addEventListener("htmx:error", (event) => {
  if (event.target === form()) later(navigator.onLine ? "the server cannot be reached" : "no connection");
});
document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.id !== "card" && !event.target.closest?.("#card")) return;
  swapped(event.detail.ctx.request.method === "POST");
});
addEventListener("online", () => attempts && again());
document.addEventListener("click", (event) => {
  const tab = event.target.closest(".side-tabs a");
  if (!tab) return;
  event.preventDefault();
  document.querySelector(tab.hash).scrollIntoView({ inline: "start", block: "nearest" });
});
const opener = document.getElementById("show-keys");
opener.hidden = false;
opener.addEventListener("click", showKeys);
listen({ submit, showKeys });
begin();
resume();
