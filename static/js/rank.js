// The ranking page: answers of a set are put in order by keys, by dragging or by their selects. As
// on the labelling page an order is kept in the browser until the server has it, and the next set
// is there already. Without this script the form is a plain one.

import { fill, gettext, ngettext } from "./words.js";
import { addActions } from "./label/actions.js";
import * as breaks from "./label/breaks.js";
import { Deck, count, focusTitle, nameAddress, tell } from "./label/cards.js";
import { Drafts } from "./label/drafts.js";
import { CHANGED, readEvidence } from "./label/evidence.js";
import { fieldsOf, putInto } from "./label/fields.js";
import * as flag from "./label/flag.js";
import * as keyList from "./label/key_list.js";
import { listen } from "./label/keys.js";
import { renderMath } from "./label/math.js";
import { Outbox } from "./label/outbox.js";
import { Past } from "./label/past.js";
import { Sender, reason } from "./label/sending.js";
import * as status from "./label/status.js";
import { Board } from "./rank/board.js";
import { Clips, clipOf } from "./rank/clips.js";
import { attachDrag } from "./rank/drag.js";
import { Pointing } from "./rank/pointing.js";
import { Exposure } from "./rank/exposure.js";
import { Viewer } from "./rank/viewer.js";

const settings = JSON.parse(document.getElementById("label-settings").textContent);
const { annotator, urls } = settings;
const project = `${settings.project}/rank`; // its own drafts and outbox
const deck = new Deck(document.getElementById("card"));
const outbox = new Outbox(project, annotator, flag.newUuid());
const rounds = new Outbox(project, annotator, outbox.tab, "training"); // answers of the training round
const past = new Past(project, annotator);
const drafts = new Drafts({ project, annotator, address: urls["rank-keep"], leaseSeconds: settings.lease_seconds, holding: held, lost });
const sender = new Sender({ outbox, address: urls["rank-submit"], extra, started: status.sending, answered, failed });
const roundSender = new Sender({ outbox: rounds, address: urls["rank-submit"], answered: told, failed: (words) => status.waiting(words, 1) });
const exposures = new WeakMap(); // card → what was seen of it
const begun = new WeakSet(); // cards that have been shown before

let progress = { done: Number(deck.current.dataset.done), total: Number(deck.current.dataset.total) };
let waitingFor = ""; // the UUID of a ranking after which there is no card yet
let parked = null; // the card set aside for an earlier ranking
let board = null;
let clips = null;
let viewer = null;
let pointing = null; // at places of the answers, where the project takes evidence
let exposure = null;
let looking = null;

const form = () => deck.current.querySelector("form#verdict");
const field = (name) => form().elements.namedItem(name);
const kind = () => deck.current.dataset.kind;
const open = () => Boolean(form() && !form().inert);
const skips = () => Boolean(form() && field("skip")?.checked); // in training there is none
const within = (place) => document.activeElement?.closest(place) ?? null;
const marking = () => Boolean(pointing?.isBusy); // a range or a box is in hand, and the keys are its
const ordering = () => open() && !skips() && !marking() && !within(".tags, .evidence");
const current = () => board.focused();
const say = (words) => (document.getElementById("rank-say").textContent = words);

// ---- showing a card ----

function show(card, { focus = true } = {}) {
  for (const part of [pointing, board, clips, viewer, exposure]) part?.stop();
  clearTimeout(looking);
  if (card !== deck.current) deck.put(card);
  deck.shown();
  enter(focus);
}

function enter(focus) {
  const card = deck.current;
  count(card, progress);
  waitingFor = "";
  board = clips = viewer = exposure = pointing = null;
  if (form()) {
    form().inert = false;
    form().noValidate = true; // said in words of our own
    field("uuid").value = flag.newUuid(); // so that the ranking has its name before it leaves
    if (!begun.has(card) && !card.querySelector("[data-error-of]:not([hidden])")) drafts.restore(form());
    begun.add(card);
    board = new Board(card, { ties: settings.ties, say });
    attachDrag(board);
    clips = new Clips(board.options);
    viewer = new Viewer(board);
    const tools = card.querySelector(".rank-tools");
    if (tools) tools.hidden = false;
    exposure = new Exposure(card, exposures.get(card));
    exposures.set(card, exposure);
    renderMath(card);
    pointing = Pointing.on(card, { board, clips, modality: settings.modality });
  }
  const wait = Number(card.dataset.lookAgain);
  if (wait) looking = setTimeout(lookAgain, 1000 * wait);
  if (focus) focusTitle(card);
  document.getElementById("raise-flag").hidden = !form() || kind() === "training";
  document.getElementById("undo").hidden = !past.uuids.length;
  keyList.showLegend();
  nameAddress(card);
}

// ---- handing in ----

function submit() {
  if (kind() === "feedback") return lookAgain();
  if (!open() || deck.unseen) return;
  pointing?.end();
  const problems = missing();
  showErrors(problems);
  if (problems.length) return;
  if (kind() === "training") return answerTraining();
  const seen = exposure.read();
  field("duration_ms").value = seen.visible_ms;
  field("exposure").value = JSON.stringify(seen);
  const uuid = field("uuid").value;
  const superseded = field("supersedes").value;
  pointing?.nameOutputs();
  outbox.keep(uuid, fieldsOf(form()));
  drafts.drop(form());
  past.add(uuid, superseded);
  if (!superseded) {
    if (skips()) progress.total -= 1;
    else progress.done += 1;
    status.pace(progress.total - progress.done);
  }
  const card = parked ?? deck.next();
  parked = null;
  if (card) show(card);
  else {
    form().inert = true; // what is on its way is not changed
    waitingFor = uuid;
    nameAddress(null);
  }
  sender.pump();
}

// [[field, words]]: all of it at once
function missing() {
  const found = [];
  if (kind() === "training") return unranked();
  const rationale = [...field("rationale").value.trim()].length;
  const most = Number(field("rationale").dataset.most);
  if (rationale > most) found.push(["rationale", fill(gettext("The rationale has %(n)s characters; at most %(most)s are kept. Shorten it; nothing is cut off."), { n: rationale, most })]);
  if (skips()) return found;
  found.unshift(...unranked());
  const least = settings.rationale_min;
  if (settings.rationale_required && !rationale) found.push(["rationale", gettext("Say why: this project asks for a rationale with every verdict.")]);
  else if (rationale && rationale < least) found.push(["rationale", fill(gettext("Say a little more: a rationale here has at least %(least)s characters."), { least })]);
  if (settings.evidence === "required" && !readEvidence(form()).length) {
    found.push(["evidence", gettext("Mark what decides it: this project asks for evidence with every verdict.")]);
  }
  return found;
}

function unranked() {
  const left = board.unranked().map((option) => option.dataset.place);
  if (!left.length) return [];
  const words = ngettext("Give every answer a rank first: %(left)s has none.", "Give every answer a rank first: %(left)s have none.", left.length);
  return [["order", fill(words, { left: left.join(", ") })]];
}

function showErrors(problems) {
  for (const place of form().querySelectorAll("[data-error-of]")) {
    const here = problems.find(([name]) => name === place.dataset.errorOf);
    place.hidden = !here;
    place.textContent = here?.[1] ?? "";
  }
  if (problems[0]?.[0] === "rationale") field("rationale").focus();
  else if (problems.length) board.focus(board.unranked()[0] ?? current() ?? board.options[0]);
}

// ---- training ----

// Kept until the server has said what of it is as known: without that there is no next set.
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

function held() {
  const cards = [deck.current, ...deck.ahead, parked].filter(Boolean);
  const waits = waitingFor ? deck.current : null; // handed in
  return [...new Set(cards.filter((card) => card !== waits && card.dataset.kind === "pair").map((card) => card.dataset.pair))];
}

function extra({ uuid }) {
  const besides = outbox.all().filter((entry) => entry.uuid !== uuid);
  return [["holding", [...held(), ...besides.map((entry) => entry.pair)].join(",")]];
}

// ---- what comes of it ----

function failed(words) {
  if (waitingFor) tellWaiting(words);
  status.waiting(words, outbox.all().length);
}

// Why nothing more can be done here: the ranking is on its way, and there is no other set.
function tellWaiting(why) {
  const waiting = outbox.all().length;
  const words = navigator.onLine
    ? ngettext("%(count)s ranking waits (%(why)s); the next set comes when it is saved.", "%(count)s rankings wait (%(why)s); the next set comes when they are saved.", waiting)
    : ngettext("Offline: %(count)s ranking waits; the next set comes when you are connected again.", "Offline: %(count)s rankings wait; the next set comes when you are connected again.", waiting);
  const said = fill(words, { count: waiting, why });
  if (deck.current.querySelector(":scope > .message")?.textContent !== said) tell(deck.current, said);
}

async function answered({ entry, became, response, text }) {
  if (!outbox.mine().length) became === "saved" ? status.saved() : status.told("");
  progressSaid(response);
  const card = deck.read(text);
  const problem = decodeURIComponent(response.headers.get("Steelyard-Problem") ?? "");
  if (became !== "saved") past.remove(entry.uuid);
  if (became === "refused" && card?.dataset.pair) return refused(card);
  take(card, response.headers.get("Steelyard-Card"));
  if (problem) tell(deck.current, problem);
  if (!outbox.mine().length) await prefetch();
}

function progressSaid(response) {
  const [done, total] = (response.headers.get("Steelyard-Progress") ?? "").split("/").map(Number);
  if (!Number.isInteger(total)) return;
  const fresh = outbox.mine().filter((entry) => !entry.said.get("supersedes"));
  const skipped = fresh.filter((entry) => entry.said.has("skip")).length;
  progress = { done: done + fresh.length - skipped, total: total - skipped };
  count(deck.current, progress);
}

// A card that an answer brought: shown if one is waited for, else kept.
function take(card, what) {
  deck.exhausted = what === "none";
  const idle = waitingFor || kind() === "none";
  if (card && idle) return show(card.dataset.pair ? card : (deck.next() ?? card));
  if (card) deck.push(card);
  else if (idle && !outbox.mine().length) lookAgain();
}

// Back with what was said; the card that was begun meanwhile waits for it.
function refused(card) {
  if (!waitingFor && kind() !== "none") deck.ahead.unshift(deck.current);
  show(card);
  status.told(gettext("That ranking was refused; here it is again."));
}

// ---- cards ahead, behind and none ----

async function fetchCard(address) {
  const response = await fetch(address, { headers: { "Steelyard-Part": "card" } });
  const what = response.headers.get("Steelyard-Card");
  if (!what) throw new Error(reason(response));
  return { what, card: deck.read(await response.text()) };
}

// One set ahead: they are larger than pairs, and take longer.
async function prefetch() {
  if (["none", "training", "feedback"].includes(kind()) || deck.ahead.length || deck.exhausted) return;
  const here = [...held(), ...outbox.all().map((entry) => entry.pair)];
  try {
    const { what, card } = await fetchCard(`${urls["rank-next"]}?holding=${here.join(",")}`);
    if (what !== "pair" || !deck.push(card)) deck.exhausted = true;
  } catch {
    return; // the next answer brings one
  }
  if (waitingFor && deck.ahead.length) show(deck.next());
}

// The page has nothing: is there something by now?
async function lookAgain() {
  clearTimeout(looking);
  try {
    const { what, card } = await fetchCard(`${urls["rank-next"]}?holding=${outbox.all().map((entry) => entry.pair).join(",")}`);
    if (!card) throw new Error(what);
    progress = { done: Number(card.dataset.done), total: Number(card.dataset.total) };
    deck.exhausted = false;
    // a page that waits looks again and again: only a set is worth moving the focus for
    show(card, { focus: what !== "none" || kind() !== "none" });
    prefetch();
  } catch {
    looking = setTimeout(lookAgain, 5000);
  }
}

function lost(pairs) {
  const here = deck.current.dataset.pair;
  deck.forget(pairs);
  if (pairs.includes(here) && kind() === "pair") status.told(gettext("Your time for this set ran out; your ranking is taken if it is still wanted."));
}

async function undo() {
  if (sender.running) await Promise.race([sender.running, new Promise((done) => setTimeout(done, 3000))]);
  const before = kind() === "amend" ? past.uuids.indexOf(deck.current.dataset.supersedes) : past.uuids.length;
  const uuid = past.uuids[before - 1];
  if (!uuid) return status.told(gettext("There is no earlier ranking here. “Your rankings” has them all."));
  if (outbox.has(uuid)) return status.told(gettext("That ranking is on its way; try again in a moment."));
  try {
    const { card } = await fetchCard(`${urls.rank}?amend=${uuid}`);
    if (kind() !== "amend") parked = deck.current;
    show(card);
  } catch (error) {
    if (!navigator.onLine || error instanceof TypeError) return status.told(gettext("No connection: that ranking comes back when there is one."));
    past.remove(uuid); // it is nobody's current ranking any more
    status.told(gettext("That ranking cannot be changed any more."));
  }
}

// The earlier ranking is left as it is.
async function forward() {
  const card = parked ?? deck.next();
  parked = null;
  if (card) show(card);
  else await lookAgain();
}

// ---- keys ----

function toggleSkip() {
  const box = field("skip");
  box.checked = !box.checked;
  if (!box.checked) for (const one of form().querySelectorAll("[name=skip_reason]")) one.checked = false;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  say(box.checked ? gettext("Skip: a number gives a reason, Enter submits.") : gettext("Not skipped."));
}

function leave() {
  if (skips() && kind() !== "amend") toggleSkip(); // an earlier skip is left as it is
  if (current()) board.focus(current());
  else focusTitle(deck.current);
}

function assign(rank) {
  const option = current() ?? board.unranked()[0];
  if (!option) return;
  const wasNew = board.unranked().includes(option);
  board.assign(option, rank);
  if (wasNew) board.goOn(option);
  else board.focus(option);
}

function act(what) {
  const option = current();
  if (!option) return board.step(1);
  what(option);
  board.focus(option);
}

// What the keys of a range mean while one is in hand.
const inRange = () => (open() ? pointing?.range : null);

const moving = () => ordering() && clips.clock !== null;
const picture = () => (current() ?? board.options[0]).querySelector(".picture-link");
const enlarge = () => viewer.open(current() ?? board.options[0]);

function foldPrompt() {
  const prompt = deck.current.querySelector(".prompt");
  prompt.open = !prompt.open;
}

function guidelines() {
  const place = document.querySelector(".guidelines");
  place.open = !place.open;
  if (place.open) place.querySelector(".prose").focus({ preventScroll: true });
}

function addKeys() {
  const digits = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const here = (n) => ordering() && board.options.length >= n;
  const tag = (n) => form()?.querySelectorAll(".tags input")[n - 1];
  const moves = () => board?.options.some(clipOf);
  const pictured = () => board?.options.some((option) => option.querySelector(".picture-link"));
  const reasonOf = (n) => form()?.querySelectorAll("[name=skip_reason]")[n - 1];
  addActions(gettext("Order"), [
    ...digits.map((n) => ({ id: `rank.${n}`, key: String(n), label: fill(gettext("rank %(n)s, then on to the next answer"), { n }), legend: n === 1 ? gettext("… 9: its rank") : "", has: () => board?.options.length >= n, when: () => here(n), run: () => assign(n) })),
    { id: "rank.previous", key: "ArrowUp", also: ["ArrowLeft"], label: gettext("answer before"), when: ordering, run: () => board.step(-1) },
    { id: "rank.next", key: "ArrowDown", also: ["ArrowRight"], label: gettext("next answer"), legend: gettext("next answer"), when: ordering, run: () => board.step(1) },
    { id: "rank.up", key: "Alt+ArrowUp", also: ["Shift+ArrowUp"], label: gettext("better: up past the one above"), legend: gettext("up"), when: ordering, run: () => act((option) => board.move(option, -1)) },
    { id: "rank.down", key: "Alt+ArrowDown", also: ["Shift+ArrowDown"], label: gettext("worse: down past the one below"), legend: gettext("down"), when: ordering, run: () => act((option) => board.move(option, 1)) },
    // where cards stand beside each other, the way to the best is to the left
    { id: "rank.left", key: "Alt+ArrowLeft", also: ["Shift+ArrowLeft"], hidden: true, when: ordering, run: () => act((option) => board.move(option, -1)) },
    { id: "rank.right", key: "Alt+ArrowRight", also: ["Shift+ArrowRight"], hidden: true, when: ordering, run: () => act((option) => board.move(option, 1)) },
    { id: "rank.tie", key: "=", label: gettext("tied with the one above, or no longer"), legend: gettext("tie with the one above"), has: () => settings.ties, when: () => ordering() && settings.ties, run: () => act((option) => board.tie(option)) },
    { id: "rank.none", key: "0", also: ["Backspace"], label: gettext("no rank"), when: ordering, run: () => act((option) => board.unrank(option)) },
    { id: "rank.play", key: " ", label: gettext("play or pause the clip"), once: true, has: moves, when: () => ordering() && clipOf(current()), run: () => clips.one(current()) },
    { id: "rank.all", key: "a", label: gettext("play or pause all clips together"), legend: gettext("all together"), once: true, has: moves, when: moving, run: () => clips.all() },
    { id: "rank.back", key: ",", label: gettext("all clips one frame back"), has: moves, when: moving, run: () => clips.step(-1) },
    { id: "rank.on", key: ".", label: gettext("all clips one frame on"), has: moves, when: moving, run: () => clips.step(1) },
    { id: "rank.full", key: "o", label: gettext("the picture at full size: zoom, and the others in its place"), legend: gettext("full size"), once: true, has: pictured, when: () => ordering() && picture(), run: enlarge },
    ...digits.map((n) => ({ id: `rank.focus.${n}`, key: `Shift+${n}`, label: fill(gettext("go to the answer at place %(n)s"), { n }), hidden: true, when: () => here(n), run: () => board.focus(board.inOrder()[n - 1]) })),
    { id: "rank.skip", key: "s", label: gettext("skip: leave the set to others; a number gives a reason"), legend: gettext("skip"), once: true, has: () => Boolean(form() && field("skip")), when: () => open() && field("skip"), run: toggleSkip },
    { id: "rank.submit", key: "Enter", label: gettext("submit"), legend: gettext("submit"), once: true, when: () => open() && !marking(), run: submit },
    { id: "rank.submit-writing", key: "Ctrl+Enter", label: gettext("submit while writing"), once: true, writing: true, when: open, run: submit },
  ]);
  addActions(gettext("Why"), [
    { id: "rank.rationale", key: "r", also: ["/"], label: gettext("write why"), legend: gettext("why"), has: () => Boolean(form() && field("rationale")), when: () => open() && field("rationale"), run: () => field("rationale").focus() },
    { id: "rank.tags", key: "w", label: gettext("reasons: then their numbers, Esc leaves"), legend: gettext("reasons"), has: () => tag(1), when: () => open() && tag(1), run: () => tag(1).focus() },
    { id: "rank.leave", key: "Escape", label: gettext("leave a field, a skip"), fixed: true, writing: true, when: () => open() && !marking() && ((skips() && kind() !== "amend") || within("#verdict, .rank-of")), run: leave },
    { id: "rank.forward", key: "Escape", label: gettext("forward again, the ranking left as it is"), fixed: true, once: true, when: () => kind() === "amend" && !marking(), run: forward },
    ...digits.flatMap((n) => [
      { id: `rank.tag.${n}`, key: String(n), hidden: true, when: () => open() && within(".tags") && tag(n), run: () => tag(n).click() },
      { id: `rank.skip.${n}`, key: String(n), hidden: true, when: () => open() && skips() && reasonOf(n), run: () => reasonOf(n).click() },
    ]),
  ]);
  const marks = () => Boolean(pointing);
  addActions(gettext("Evidence"), [
    { id: "rank.mark", key: "e", label: gettext("evidence: words, a box or a range in this answer; the same key ends a range"), legend: gettext("evidence"), once: true, has: marks, when: () => open() && marks(), run: () => pointing.mark() },
    { id: "rank.mark-other", key: "Tab", label: gettext("while marking: the next answer"), fixed: true, has: marks, when: inRange, run: () => pointing.range.turn() },
    // e ends the range, also where there is an answer E
    ...["A", "B", "C", "D", "F", "G", "H", "I"].map((place) => ({ id: `rank.mark-in.${place}`, key: place.toLowerCase(), fixed: true, hidden: true, when: () => inRange()?.has(place), run: () => pointing.range.turn(place) })),
    { id: "rank.mark-end", key: "Enter", legend: gettext("end the range"), fixed: true, hidden: true, once: true, when: inRange, run: () => pointing.end() },
    { id: "rank.mark-drop", key: "Escape", fixed: true, hidden: true, once: true, when: () => open() && marking(), run: () => pointing.drop() },
    ...[["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["Shift+ArrowLeft", 0, -0.5], ["Shift+ArrowRight", 0, 0.5]].map(([key, frames, seconds]) => ({ id: `rank.mark.${key}`, key, fixed: true, hidden: true, when: inRange, run: () => pointing.range.step(frames, seconds) })),
  ]);
  addActions(gettext("Page"), [
    { id: "page.go-on", key: "Enter", label: gettext("go on"), legend: gettext("go on"), hidden: true, once: true, when: () => kind() === "feedback", run: lookAgain },
    { id: "page.undo", key: "u", label: gettext("undo: back to your last ranking, and further back"), legend: gettext("undo"), once: true, when: () => past.uuids.length > 0, run: undo },
    { id: "page.flag", key: "f", label: gettext("flag the set"), legend: gettext("flag"), once: true, when: () => open() && kind() !== "training", run: flag.openFlag },
    { id: "page.guidelines", key: "g", label: gettext("guidelines"), once: true, when: () => document.querySelector(".guidelines"), run: guidelines },
    { id: "page.prompt", key: "p", label: gettext("fold or unfold the prompt"), once: true, when: () => deck.current.querySelector(".prompt"), run: foldPrompt },
    { id: "page.keys", key: "?", label: gettext("all keys"), once: true, run: keyList.openList },
  ]);
}

// An order that an earlier page could not get rid of, if it is of this very set, is shown.
function resume() {
  const [answer] = rounds.all();
  if (answer) {
    if (kind() === "training" && answer.pair === deck.current.dataset.pair) {
      putInto(form(), answer.fields);
      board.lay();
      form().inert = true;
    }
    roundSender.pump();
  }
  const kept = outbox.all().find((entry) => entry.pair === deck.current.dataset.pair && !entry.said.get("supersedes"));
  if (kept && kind() === "pair") {
    putInto(form(), kept.fields);
    board.lay();
    field("evidence").dispatchEvent(new CustomEvent(CHANGED, { bubbles: true }));
    form().inert = true;
    waitingFor = kept.uuid;
  }
  return outbox.all().length ? sender.pump() : null;
}

async function begin() {
  breaks.begin(settings.break_minutes);
  keyList.begin(settings);
  flag.begin({ project, annotator, tab: outbox.tab, address: urls["rank-flag"], pair: () => deck.current.dataset.pair });
  addKeys();
  listen();
  for (const [id, run] of [["show-keys", keyList.openList], ["undo", undo], ["raise-flag", flag.openFlag]]) {
    const button = document.getElementById(id);
    button.hidden = false;
    button.addEventListener("click", run);
  }
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "verdict") return;
    event.preventDefault();
    submit();
  });
  document.addEventListener("input", (event) => event.target.form?.id === "verdict" && form()?.querySelector("[data-error-of]:not([hidden])") && showErrors([]));
  document.addEventListener("click", (event) => {
    const act = event.target.closest("[data-go-on]") ? lookAgain : event.target.closest("[data-forward]") ? forward : { all: () => clips.all(), full: enlarge, mark: () => pointing.pressed(event.detail > 0) }[event.target.closest("[data-rank-tool]")?.dataset.rankTool];
    if (!act) return;
    event.preventDefault();
    act();
  });
  addEventListener("online", () => {
    sender.pump().then(prefetch);
    if (rounds.all().length) roundSender.pump();
  });
  outbox.onGone((uuid) => waitingFor === uuid && lookAgain());
  enter(false);
  await resume();
  await prefetch();
}

begin();
