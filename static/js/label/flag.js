// Tells the project's owner that something is wrong with a pair or a set: kept in the browser, as verdicts are,
// until the server has it.

import { gettext } from "../words.js";
import { Outbox } from "./outbox.js";
import { Sender } from "./sending.js";
import * as status from "./status.js";

const dialog = () => document.getElementById("flag");

let outbox = null;
let sender = null;

// tab: as of the page's outbox; address: where flags go; pair: () => the number of the one in view
export function begin({ project, annotator, tab, address, pair }) {
  const form = document.getElementById("flag-form");
  outbox = new Outbox(project, annotator, tab, "flag");
  sender = new Sender({ outbox, address, answered, failed, understood });
  dialog().querySelector("[data-close]").addEventListener("click", () => dialog().close());
  dialog().addEventListener("keydown", (event) => {
    const writes = event.target.matches("textarea");
    if (event.key === "Enter" && event.ctrlKey) {
      event.preventDefault();
      event.stopPropagation(); // the dialog closes at once: the verdict beneath is not meant
      if (!event.repeat) form.requestSubmit();
      return;
    }
    const choice = !writes && /^[1-9]$/.test(event.key) && form.querySelectorAll("[name=reason]")[event.key - 1];
    if (!choice) return;
    choice.checked = true;
    choice.focus();
  });
  // in the note Enter is a new line
  const sends = form.querySelector("[type=submit] kbd");
  form.addEventListener("focusin", ({ target }) => sends && (sends.textContent = target.matches("textarea") ? "Ctrl ⏎" : "⏎"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    raise(form, pair());
  });
  addEventListener("online", () => sender.pump());
  if (outbox.all().length) sender.pump();
}

export function openFlag() {
  const form = document.getElementById("flag-form");
  form.reset();
  form.dataset.uuid = newUuid();
  dialog().showModal();
}

function raise(form, pair) {
  const { uuid } = form.dataset;
  outbox.keep(uuid, [...new FormData(form), ["pair", pair], ["uuid", uuid]]);
  dialog().close();
  sender.pump();
}

// The server says what it has stored, or what is wrong with it, as JSON.
function understood(response) {
  if (response.redirected || !response.headers.get("Content-Type")?.includes("json")) return "";
  if (response.ok) return "saved";
  return [400, 409, 422].includes(response.status) ? "refused" : "";
}

function answered({ became, text }) {
  if (became === "saved") return status.told(gettext("Flagged. You may go on with it all the same, or skip it."));
  status.told(`${gettext("The flag was refused:")} ${JSON.parse(text).error ?? ""}`);
}

function failed(words) {
  status.waiting(words, outbox.all().length);
}

// crypto.randomUUID is there in a secure context only, random values are everywhere.
export function newUuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
