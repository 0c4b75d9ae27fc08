// The labelling page: shows the next card from memory at once, sends verdicts behind it and keeps
// each until the server has it. Without this script the form is a plain one.

import { fill, gettext, ngettext } from "./words.js";
import { addActions } from "./label/actions.js";
import * as aside from "./label/aside.js";
import * as breaks from "./label/breaks.js";
import { AHEAD, Deck, count, focusTitle, nameAddress, tell } from "./label/cards.js";
import { Drafts } from "./label/drafts.js";
import * as evidence from "./label/evidence.js";
import { Exposure } from "./label/exposure.js";
import { fieldsOf, putInto } from "./label/fields.js";
import * as flag from "./label/flag.js";
import * as keyList from "./label/key_list.js";
import { listen } from "./label/keys.js";
import { Outbox } from "./label/outbox.js";
import { Past } from "./label/past.js";
import * as phone from "./label/phone.js";
import { Sender, post, reason } from "./label/sending.js";
import * as status from "./label/status.js";
import { addVerdictActions, attachBar, missing, showErrors } from "./label/verdict.js";

const settings = JSON.parse(document.getElementById("label-settings").textContent);
const { project, annotator, urls } = settings;
const deck = new Deck(document.getElementById("card"));
const outbox = new Outbox(project, annotator, flag.newUuid());
const past = new Past(project, annotator);
const drafts = new Drafts({
  project,
  annotator,
  address: urls["label-keep"],
  leaseSeconds: settings.lease_seconds,
  holding: () => leased(),
  lost,
});
const sender = new Sender({ outbox, address: urls["label-submit"], extra, started, answered, failed });
const rounds = new Outbox(project, annotator, outbox.tab, "training"); // answers of the training round
const roundSender = new Sender({ outbox: rounds, address: urls["label-submit"], answered: told, failed: (words) => status.waiting(words, 1) });
const begun = new WeakSet(); // cards that have been shown before
const waits = new WeakSet(); // cards that say why they wait
const exposures = new WeakMap(); // card → what was seen of it
const handedIn = new Map(); // UUID → the card of a verdict that is still on its way
const tools = [evidence]; // modules that attach to cards

let progress = { done: Number(deck.current.dataset.done), total: Number(deck.current.dataset.total) };
let waitingFor = ""; // the UUID of a verdict after which there is no card yet
let back = null; // {index, parked}: an earlier verdict is looked at, and the card set aside for it
let exposure = null;
let detach = [];
let looking = null;

const form = () => deck.current.querySelector("form#verdict:not([hidden])");
const field = (name) => form().elements.namedItem(name);
const kind = () => deck.current.dataset.kind;

// ---- showing a card ----

function show(card, { focus = true } = {}) {
  leave();
  if (card !== deck.current) deck.put(card);
  deck.shown();
  enter(focus);
}

function leave() {
  for (const end of detach) end();
  detach = [];
  exposure?.stop();
  clearTimeout(looking);
}

function enter(focus) {
  const card = deck.current;
  count(card, progress);
  waitingFor = "";
  if (waits.delete(card)) tell(card, "");
  if (form()) {
    form().inert = false;
    form().noValidate = true; // said in words of our own, beside the field
    field("uuid").value = flag.newUuid(); // so that the verdict has its name before it leaves
    if (!begun.has(card)) {
      if (!card.querySelector("[data-error-of]:not([hidden])")) drafts.restore(form());
      attachBar(card);
    }
    begun.add(card);
  }
  exposure = new Exposure(card, exposures.get(card));
  exposures.set(card, exposure);
  attachTools(card);
  const wait = Number(card.dataset.lookAgain);
  if (wait) looking = setTimeout(lookAgain, 1000 * wait);
  if (focus) focusTitle(card);
  document.getElementById("raise-flag").hidden = !card.dataset.pair || kind() === "training";
  document.getElementById("undo").hidden = !past.uuids.length;
  aside.keepFolded(card);
  keyList.showLegend();
  nameAddress(card);
}

function attachTools(card, which = tools) {
  if (!card.querySelector(".answers")) return;
  for (const { attach } of which) {
    try {
      detach.push(attach(card));
    } catch (error) {
      reportError(error); // a tool that fails does not stop the work
    }
  }
}

// ---- handing in ----

function submit() {
  if (kind() === "feedback") return goOn();
  if (!form() || form().inert || deck.unseen) return;
  const found = missing(settings);
  showErrors(found);
  if (found.length) return;
  if (kind() === "training") return answerTraining();
  const seen = exposure.read();
  field("duration_ms").value = seen.visible_ms;
  field("exposure").value = JSON.stringify(seen);
  const uuid = field("uuid").value;
  const superseded = field("supersedes").value;
  outbox.keep(uuid, fieldsOf(form()));
  handedIn.set(uuid, deck.current);
  deck.judged.add(deck.current.dataset.pair);
  drafts.drop(form());
  past.add(uuid, superseded);
  if (!superseded) {
    move(1);
    status.pace(progress.total - progress.done);
  }
  next(uuid);
  sender.pump();
}

// A verdict was given (1) or taken back (−1).
function move(by) {
  if (field("verdict").value === "skip") progress.total -= by;
  else progress.done += by;
}

function next(uuid) {
  const card = back?.parked ?? deck.next();
  back = null;
  if (card) return show(card);
  form().inert = true; // what is on its way is not changed
  waitingFor = uuid;
  nameAddress(null);
  if (sender.trouble) tellWaiting(sender.trouble);
}

// What goes along with a verdict: the pairs that are here, and the numbers as they were before it.
function extra({ uuid }) {
  const besides = outbox.all().filter((entry) => entry.uuid !== uuid);
  const { done, total } = unsent();
  return [
    ["holding", [...held(), ...besides.map((entry) => entry.pair)].join(",")],
    ["done", progress.done - done],
    ["total", progress.total + total],
  ];
}

// By how much what this page has in the outbox has moved its numbers.
function unsent() {
  const fresh = outbox.mine().filter((entry) => !entry.said.get("supersedes"));
  const skips = fresh.filter((entry) => entry.said.get("verdict") === "skip").length;
  return { done: fresh.length - skips, total: skips };
}

function held() {
  const cards = [deck.current, ...deck.ahead, back?.parked].filter(Boolean);
  const waits = waitingFor ? deck.current : null; // handed in, so not held for being judged
  return [...new Set(cards.filter((card) => card !== waits && card.dataset.kind === "pair").map((card) => card.dataset.pair))];
}

function leased() {
  const waiting = outbox.all().filter((entry) => !entry.said.get("supersedes")).map((entry) => entry.pair);
  return [...new Set([...held(), ...waiting])];
}

// ---- what comes of it ----

// Another tab has sent it.
function gone(uuid) {
  handedIn.delete(uuid);
  if (waitingFor !== uuid) return;
  status.saved();
  lookAgain();
}

function started() {
  status.sending();
}

function failed(words) {
  if (waitingFor) tellWaiting(words);
  status.waiting(words, outbox.all().length);
}

// Why the form does nothing: its verdict is on its way, and there is no other pair here.
function tellWaiting(why) {
  const waiting = outbox.all().length;
  const words = navigator.onLine
    ? ngettext("%(count)s verdict waits (%(why)s); the next pair comes when it is saved.", "%(count)s verdicts wait (%(why)s); the next pair comes when they are saved.", waiting)
    : ngettext("Offline: %(count)s verdict waits; the next pair comes when you are connected again.", "Offline: %(count)s verdicts wait; the next pair comes when you are connected again.", waiting);
  const said = fill(words, { count: waiting, why });
  if (deck.current.querySelector(":scope > .message")?.textContent !== said) tell(deck.current, said);
  waits.add(deck.current);
}

async function answered({ entry, became, response, text }) {
  if (!outbox.mine().length) became === "saved" ? status.saved() : status.told("");
  progressSaid(response);
  const card = deck.read(text);
  card?.querySelector(":scope > .message")?.remove();
  const problem = decodeURIComponent(response.headers.get("Steelyard-Problem") ?? "");
  if (became === "refused") return refused(entry, card);
  if (became === "passed") past.remove(entry.uuid);
  handedIn.delete(entry.uuid);
  await take(card, response.headers.get("Steelyard-Card"));
  if (problem) tell(deck.current, problem);
  if (!outbox.mine().length) prefetch();
}

function progressSaid(response) {
  const [done, total] = (response.headers.get("Steelyard-Progress") ?? "").split("/").map(Number);
  if (!Number.isInteger(total)) return;
  const waiting = unsent();
  progress = { done: done + waiting.done, total: total - waiting.total };
  count(deck.current, progress);
}

// A card that an answer brought: shown if one is waited for, else kept.
async function take(card, what) {
  deck.exhausted = what === "none";
  if (deck.judged.has(card?.dataset.pair)) card = null;
  const idle = waitingFor || kind() === "none";
  if (card && idle) {
    const ahead = card.dataset.pair ? null : deck.next();
    return show(ahead ?? card);
  }
  if (card) deck.push(card);
  else if (idle && !outbox.mine().length) return lookAgain();
}

// Back with what was said; the card that was begun meanwhile waits for it.
function refused(entry, card) {
  past.remove(entry.uuid);
  handedIn.delete(entry.uuid);
  deck.judged.delete(entry.pair);
  if (!card?.dataset.pair) return take(card, "none");
  if (back) {
    deck.ahead.unshift(card);
    return status.told(gettext("An earlier verdict was refused; it comes next."));
  }
  if (!waitingFor && kind() !== "none") deck.ahead.unshift(deck.current);
  show(card);
  status.told(gettext("That verdict was refused; here it is again."));
}

// ---- cards ahead ----

async function fetchCard(address) {
  const response = await fetch(address, { headers: { "Steelyard-Part": "card" } });
  const what = response.headers.get("Steelyard-Card");
  if (!what) throw new Error(reason(response));
  return { what, response, card: deck.read(await response.text()) };
}

let filling = null;

function prefetch() {
  filling ??= fillUp().finally(() => (filling = null));
  return filling;
}

async function fillUp() {
  while (kind() !== "training" && kind() !== "feedback" && kind() !== "none" && deck.ahead.length < AHEAD && !deck.exhausted) {
    try {
      const { what, card } = await fetchCard(`${urls["label-next"]}?holding=${leased().join(",")}`);
      if (what !== "pair") deck.exhausted = true;
      else if (!deck.push(card)) return; // an answer was quicker
    } catch {
      return; // the next answer brings one
    }
    if (waitingFor && deck.ahead.length) show(deck.next());
  }
}

// The page has nothing: is there something by now?
async function lookAgain() {
  clearTimeout(looking);
  const before = deck.current;
  try {
    const { what, response, card } = await fetchCard(`${urls["label-next"]}?count&holding=${outbox.all().map((entry) => entry.pair).join(",")}`);
    // another came up meanwhile
    if (deck.current !== before && kind() !== "none") return void (what === "pair" && deck.push(card));
    if (!card || deck.judged.has(card.dataset.pair)) return again();
    progress = { done: Number(card.dataset.done), total: Number(card.dataset.total) };
    progressSaid(response);
    deck.exhausted = false;
    // a page that waits for pairs looks again and again: only a pair is worth moving the focus for
    show(card, { focus: what !== "none" || kind() !== "none" });
    prefetch();
  } catch {
    if (deck.current === before) again();
  }
}

function again() {
  looking = setTimeout(lookAgain, 5000);
}

// The page is closed: what it kept ahead is others' to judge.
function letGo() {
  const pairs = deck.ahead.map((card) => card.dataset.pair);
  if (pairs.length) post(urls["label-keep"], [["leaving", pairs.join(",")]], { keepalive: true }).catch(() => {});
}

// The browser had kept the closed page as it was.
function comeBack() {
  deck.ahead = [];
  deck.exhausted = false;
  drafts.renewed = 0;
  drafts.look();
  prefetch();
}

function lost(pairs) {
  const here = deck.current.dataset.pair;
  deck.forget(pairs);
  if (pairs.includes(here) && kind() === "pair") status.told(gettext("Your time for this pair ran out; your verdict is taken if it is still wanted."));
}

// ---- training ----

// Kept until the server has said what was right of it: without that there is no next pair.
function answerTraining() {
  form().inert = true;
  rounds.keep(field("uuid").value, fieldsOf(form()));
  status.sending(1);
  roundSender.pump();
}

function told({ entry, text }) {
  if (kind() !== "training" || entry.pair !== deck.current.dataset.pair) return status.told(""); // another page's
  const card = deck.read(text);
  if (form()) drafts.drop(form());
  status.told("");
  if (card) show(card);
}

function goOn() {
  lookAgain();
}

// ---- back and forward ----

async function undo() {
  if (sender.now) await Promise.race([sender.running, new Promise((done) => setTimeout(done, 3000))]);
  const index = (back ? back.index : past.uuids.length) - 1;
  const uuid = past.uuids[index];
  if (!uuid) return status.told(gettext("There is no earlier verdict here. “Your verdicts” has them all."));
  if (outbox.has(uuid)) return takeBack(uuid);
  await revisit(index);
}

// Not sent yet, so it is as if it had not been given.
function takeBack(uuid) {
  const card = handedIn.get(uuid);
  if (!card || sender.now === uuid) return status.told(gettext("That verdict is on its way; try again in a moment."));
  outbox.drop(uuid);
  past.remove(uuid);
  handedIn.delete(uuid);
  deck.judged.delete(card.dataset.pair);
  leave();
  if (card !== deck.current) {
    const parked = back?.parked ?? deck.current;
    if (parked.dataset.kind === "pair") deck.ahead.unshift(parked);
    deck.put(card);
  }
  back = null;
  deck.shown();
  if (!field("supersedes").value) move(-1);
  if (!outbox.mine().length) status.told("");
  enter(true);
}

async function revisit(index) {
  const uuid = past.uuids[index];
  try {
    const { card } = await fetchCard(`${urls.label}?amend=${uuid}`);
    back = { index, parked: back ? back.parked : deck.current };
    show(card);
  } catch (error) {
    if (!navigator.onLine || error instanceof TypeError) return status.told(gettext("No connection: that verdict comes back when there is one."));
    past.remove(uuid); // it is nobody's current verdict any more
    status.told(gettext("That verdict cannot be changed any more."));
  }
}

async function forward() {
  if (back && back.index + 1 < past.uuids.length) return revisit(back.index + 1);
  const card = back?.parked ?? deck.next();
  back = null;
  if (card) return show(card);
  await lookAgain();
}

// ---- at the beginning ----

// Verdicts that an earlier page could not get rid of; the one on this very pair is shown.
function resume() {
  const [answer] = rounds.all();
  if (answer) {
    if (kind() === "training" && answer.pair === deck.current.dataset.pair) {
      putInto(form(), answer.fields);
      form().inert = true;
    }
    roundSender.pump();
  }
  const kept = outbox.all().find((entry) => entry.pair === deck.current.dataset.pair && !entry.said.get("supersedes"));
  if (kept && kind() === "pair") {
    putInto(form(), kept.fields);
    form().inert = true;
    waitingFor = kept.uuid;
  }
  return outbox.all().length ? sender.pump() : null;
}

// Loaded again while an earlier verdict was looked at: that one is in view, where it was.
function resumeAmending() {
  const index = past.uuids.indexOf(deck.current.dataset.supersedes);
  if (amending() && index >= 0 && history.state?.back) back = { index, parked: null };
}

const amending = () => kind() === "amend";

async function begin() {
  breaks.begin(settings.break_minutes);
  flag.begin({ project, annotator, tab: outbox.tab, address: urls["label-flag"], pair: () => deck.current.dataset.pair });
  keyList.begin(settings);
  phone.begin();
  addVerdictActions(settings.choices, submit);
  addActions(gettext("Page"), [
    { id: "page.go-on", key: "Enter", label: gettext("go on"), legend: gettext("go on"), hidden: true, once: true, when: () => kind() === "feedback", run: goOn },
    { id: "page.undo", key: "u", label: gettext("undo: back to your last verdict, and further back"), legend: gettext("undo"), once: true, when: () => past.uuids.length > 0, run: undo },
    { id: "page.forward", key: "Escape", label: gettext("forward again, the verdict left as it is"), fixed: true, once: true, when: amending, run: forward },
    { id: "page.flag", key: "f", label: gettext("flag the pair"), legend: gettext("flag"), once: true, when: () => form() && kind() !== "training", run: flag.openFlag },
    { id: "page.guidelines", key: "g", label: gettext("guidelines"), legend: gettext("guidelines"), once: true, when: () => document.querySelector(".guidelines"), run: () => aside.guidelines(deck.current) },
    { id: "page.prompt", key: "p", label: gettext("fold or unfold the prompt"), legend: gettext("prompt"), once: true, when: () => deck.current.querySelector(".prompt"), run: () => aside.fold(deck.current) },
    { id: "page.keys", key: "?", label: gettext("all keys"), once: true, run: keyList.openList },
  ]);
  listen();
  for (const [id, act] of [["show-keys", keyList.openList], ["undo", undo], ["raise-flag", flag.openFlag]]) {
    const button = document.getElementById(id);
    button.hidden = false;
    button.addEventListener("click", act);
  }
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "verdict") return;
    event.preventDefault();
    submit();
  });
  document.addEventListener("click", (event) => {
    const act = event.target.closest("[data-forward]") ? forward : event.target.closest("[data-go-on]") ? goOn : null;
    if (!act) return;
    event.preventDefault();
    act();
  });
  addEventListener("online", () => sender.pump().then(prefetch));
  addEventListener("online", () => roundSender.pump());
  outbox.onGone(gone);
  addEventListener("pagehide", letGo);
  addEventListener("pageshow", (event) => event.persisted && comeBack());
  const modules = [import("./label/text.js")];
  if (["image", "video"].includes(deck.current.dataset.modality)) modules.push(import(`./label/${deck.current.dataset.modality}.js`));
  resumeAmending();
  enter(false);
  for (const loaded of await Promise.allSettled(modules)) {
    if (loaded.status === "rejected") reportError(loaded.reason);
    else {
      tools.push(loaded.value);
      attachTools(deck.current, [loaded.value]);
    }
  }
  keyList.showLegend();
  await resume();
  await prefetch();
}

begin();
