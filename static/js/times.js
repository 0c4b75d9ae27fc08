// Keeps relative times true while a page stays open. Says the same of the same age as the
// template helper exact_time.

import { fill, gettext, ngettext } from "./words.js";

const DAY = 86400;
const HOUR = 3600;
const MINUTE = 60;

function ago(seconds) {
  const count = (size) => Math.floor(seconds / size);
  if (seconds >= DAY) return [ngettext("%(count)s day ago", "%(count)s days ago", count(DAY)), count(DAY)];
  if (seconds >= HOUR) return [ngettext("%(count)s hour ago", "%(count)s hours ago", count(HOUR)), count(HOUR)];
  if (seconds >= MINUTE) return [ngettext("%(count)s minute ago", "%(count)s minutes ago", count(MINUTE)), count(MINUTE)];
  return [gettext("just now"), 0];
}

function ahead(seconds) {
  const count = (size) => Math.floor(seconds / size);
  if (seconds >= DAY) return [ngettext("in %(count)s day", "in %(count)s days", count(DAY)), count(DAY)];
  if (seconds >= HOUR) return [ngettext("in %(count)s hour", "in %(count)s hours", count(HOUR)), count(HOUR)];
  if (seconds >= MINUTE) return [ngettext("in %(count)s minute", "in %(count)s minutes", count(MINUTE)), count(MINUTE)];
  return [gettext("just now"), 0];
}

export function relative(ageSeconds) {
  const [words, count] = ageSeconds >= 0 ? ago(ageSeconds) : ahead(-ageSeconds);
  return fill(words, { count });
}

export function refreshTimes(root = document) {
  const page = document.documentElement.lang;
  const language = navigator.languages.find((one) => one.split("-")[0] === page) ?? page;
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const words = relative((Date.now() - at.getTime()) / 1000);
    if (time.textContent !== words) time.textContent = words;
    const exact = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "long" });
    if (time.title !== exact) time.title = exact;
  }
}
