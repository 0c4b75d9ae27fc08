// A large file takes minutes to be sent: how much of it has gone is shown, and then the page that
// the server answers with. Without this script the form is sent as any other.

import { clear, show } from "./messages.js";
import { fill, gettext } from "./words.js";

const MIB = 2 ** 20;
const BROKEN = gettext("The file was not sent: the server cannot be reached. Try again.");

for (const form of document.querySelectorAll("form.upload")) {
  const button = form.querySelector("button");
  const line = form.querySelector(".sent");

  function shown(whether) {
    line.hidden = !whether;
    button.disabled = whether;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clear(BROKEN);
    shown(true);
    send(form, line, () => shown(false));
  });
  // who comes back with the browser's button finds the form as it was at first
  addEventListener("pageshow", () => shown(false));
}

function send(form, line, ended) {
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", ({ loaded, total }) => tell(line, loaded, total));
  request.addEventListener("error", () => {
    ended();
    show(BROKEN);
  });
  request.addEventListener("load", () => answered(request));
  request.open("POST", form.action);
  request.responseType = "document";
  request.send(new FormData(form));
}

function tell(line, loaded, total) {
  const [bar, words] = line.children;
  bar.max = total;
  bar.value = loaded;
  const [done, all] = [loaded, total].map((size) => (size / MIB).toFixed(1));
  words.textContent = loaded < total
    ? fill(gettext("%(done)s of %(all)s MiB sent"), { done, all })
    : gettext("Sent; the server looks at it.");
}

// A refusal is a page too, and asking for it again would say something else: the file is gone.
function answered({ status, responseURL, response }) {
  if (status < 400) {
    location.assign(responseURL);
    return;
  }
  document.title = response.title;
  document.querySelector("main").replaceWith(response.querySelector("main"));
}
