// The answers of a set, laid out by their ranks: those that have one in tiers, the best first, and
// the others below. The ranks stand in the cards' selects, which are the form's; everything here
// writes them and lays the cards out anew, so a draft, a key, a drag and a choice in a select are
// one thing.

import { fill, gettext } from "../words.js";

export class Board {
  // ties: whether two may have one rank; say: (words) for those who do not see it
  constructor(card, { ties, say }) {
    Object.assign(this, { card, ties, say, ending: new AbortController() });
    this.options = [...card.querySelectorAll(".option")].sort((one, other) => (one.dataset.place < other.dataset.place ? -1 : 1));
    this.tiers = card.querySelector(".tiers");
    this.rest = card.querySelector(".rest-of-set");
    this.current = null;
    const { signal } = this.ending;
    for (const option of this.options) {
      option.querySelector(".grip").hidden = false;
      option.addEventListener("focusin", () => (this.current = option), { signal });
      selectOf(option).addEventListener("change", () => this.chosen(option), { signal });
    }
    this.lay();
  }

  stop() {
    this.ending.abort();
  }

  // ---- what stands where ----

  // [[option, …], …], the best first
  groups(without = null) {
    const groups = new Map();
    for (const option of this.options) {
      const rank = rankOf(option);
      if (!rank || option === without) continue;
      groups.set(rank, [...(groups.get(rank) ?? []), option]);
    }
    return [...groups].sort(([one], [other]) => one - other).map(([, group]) => group);
  }

  unranked() {
    return this.options.filter((option) => !rankOf(option));
  }

  inOrder() {
    return [...this.groups().flat(), ...this.unranked()];
  }

  tiedWith(option) {
    return this.options.filter((other) => other !== option && rankOf(option) && rankOf(other) === rankOf(option));
  }

  wordsFor(option) {
    const values = { place: option.dataset.place, rank: rankOf(option), n: this.options.length };
    if (!values.rank) return fill(gettext("%(place)s: not ranked"), values);
    values.others = this.tiedWith(option).map((other) => other.dataset.place).join(", ");
    return fill(values.others ? gettext("%(place)s: rank %(rank)s of %(n)s, tied with %(others)s") : gettext("%(place)s: rank %(rank)s of %(n)s"), values);
  }

  // ---- changing it ----

  chosen(option) {
    const rank = rankOf(option);
    if (rank && !this.ties) this.makeRoom(option, rank);
    this.settle(option);
  }

  assign(option, rank) {
    if (rank > this.options.length) return;
    if (!this.ties) this.makeRoom(option, rank);
    selectOf(option).value = rank;
    this.settle(option);
  }

  // Without ties, whoever has the rank goes one down, and so do those that this pushes.
  makeRoom(option, rank) {
    const there = this.options.find((other) => other !== option && rankOf(other) === rank);
    if (!there) return;
    if (rank === this.options.length) return void (selectOf(there).value = "");
    this.makeRoom(option, rank + 1);
    selectOf(there).value = rank + 1;
  }

  unrank(option) {
    selectOf(option).value = "";
    this.settle(option);
  }

  // A tier of its own, before the at-th of the others.
  insert(option, at) {
    const groups = this.groups(option);
    groups.splice(at, 0, [option]);
    this.number(groups);
    this.settle(option);
  }

  join(option, other) {
    selectOf(option).value = selectOf(other).value;
    this.settle(option);
  }

  number(groups) {
    for (const [at, group] of groups.entries()) for (const option of group) selectOf(option).value = at + 1;
  }

  // Up (−1) or down (1): out of a tie first, then past the next tier.
  move(option, by) {
    const groups = this.groups();
    const at = groups.findIndex((group) => group.includes(option));
    if (at < 0) return by < 0 ? this.insert(option, groups.length) : this.say(this.wordsFor(option));
    // where it would stand among the tiers of the others
    const tied = groups[at].length > 1;
    const to = tied ? (by < 0 ? at : at + 1) : at + by;
    if (to < 0 || (!tied && to >= groups.length)) {
      return this.say(by < 0 ? gettext("It is the first already.") : gettext("It is the last already."));
    }
    this.insert(option, to);
  }

  // Tied with the one above; a second time no longer.
  tie(option) {
    if (!this.ties) return this.say(gettext("This project takes no ties."));
    const groups = this.groups();
    const at = groups.findIndex((group) => group.includes(option));
    if (at >= 0 && groups[at].length > 1) return this.insert(option, at + 1);
    const above = at < 0 ? groups.at(-1) : groups[at - 1];
    if (!above) return this.say(gettext("There is nothing above to tie it with."));
    this.join(option, above[0]);
  }

  // Once all have a rank, there are no gaps.
  settle(option) {
    if (!this.unranked().length) this.number(this.groups());
    this.lay();
    selectOf(option).dispatchEvent(new Event("input", { bubbles: true }));
    this.say(this.wordsFor(option));
  }

  // ---- showing it ----

  lay() {
    const focused = this.card.contains(document.activeElement) ? document.activeElement : null;
    const scrolled = this.options.map((option) => bodyOf(option).scrollTop);
    const groups = this.groups();
    const items = groups.map((group) => tier(group));
    for (const item of items) this.tiers.append(item);
    for (const [at, group] of groups.entries()) for (const option of group) put(option, items[at]);
    for (const option of this.unranked()) put(option, this.rest);
    for (const item of [...this.tiers.children]) if (!items.includes(item)) item.remove();
    this.tiers.hidden = false;
    for (const part of this.card.querySelectorAll(".board-part")) {
      part.hidden = part.dataset.part === "rest" && !this.unranked().length;
    }
    this.rest.hidden = !this.unranked().length;
    for (const [at, option] of this.options.entries()) {
      bodyOf(option).scrollTop = scrolled[at];
      bodyOf(option).setAttribute("aria-label", this.wordsFor(option));
      const others = this.tiedWith(option).map((other) => other.dataset.place);
      option.querySelector("[data-tied]").textContent = others.length ? `= ${others.join(", ")}` : "";
    }
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  // ---- going about ----

  focus(option) {
    if (!option) return;
    bodyOf(option).focus({ preventScroll: true });
    option.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  step(by) {
    const all = this.inOrder();
    const at = all.indexOf(this.focused());
    this.focus(at < 0 ? all[0] : all[Math.max(0, Math.min(all.length - 1, at + by))]);
  }

  // Where the focus is, or was last.
  focused() {
    return this.options.includes(this.current) ? this.current : null;
  }

  // The next one without a rank, as they were shown.
  goOn(option) {
    const after = [...this.options.slice(this.options.indexOf(option) + 1), ...this.options];
    this.focus(after.find((other) => !rankOf(other)) ?? option);
  }
}

export function rankOf(option) {
  return Number(selectOf(option).value) || 0;
}

function selectOf(option) {
  return option.querySelector("select");
}

function bodyOf(option) {
  return option.querySelector(".answer-body");
}

function tier(group) {
  const item = document.createElement("li");
  item.className = "tier";
  item.value = rankOf(group[0]);
  item.style.setProperty("--n", group.length);
  item.toggleAttribute("data-tied-tier", group.length > 1);
  return item;
}

// Where the browser can, without stopping a clip that plays.
function put(option, place) {
  if (place.moveBefore && option.isConnected && place.isConnected) place.moveBefore(option, null);
  else place.append(option);
}
