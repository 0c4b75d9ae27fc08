// Libraries that most cards do without: a script or a style sheet is fetched once, when it is needed.

const asked = new Map();

// path: below static/vendor; resolves when it is there.
export function load(path) {
  if (!asked.has(path)) asked.set(path, fetchOnce(new URL(`../../vendor/${path}`, import.meta.url).href));
  return asked.get(path);
}

function fetchOnce(address) {
  const style = address.endsWith(".css");
  const values = style ? { rel: "stylesheet", href: address } : { src: address };
  const element = Object.assign(document.createElement(style ? "link" : "script"), values);
  return new Promise((resolve, reject) => {
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => reject(new Error(`${address} cannot be fetched`)));
    document.head.append(element);
  });
}
