// Keeps relative times true while a page stays open. Says the same of the same age as the
// template helper exact_time.

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

export function relative(ageSeconds) {
  const seconds = Math.abs(ageSeconds);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(seconds / size);
    if (count > 0) {
      const words = `${count} ${unit}${count > 1 ? "s" : ""}`;
      return ageSeconds >= 0 ? `${words} ago` : `in ${words}`;
    }
  }
  return "just now";
}

export function refreshTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const words = relative((Date.now() - at.getTime()) / 1000);
    if (time.textContent !== words) time.textContent = words;
    const exact = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    if (time.title !== exact) time.title = exact;
  }
}
