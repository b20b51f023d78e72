// Making elements. Whatever a message says becomes text, never markup: nothing here parses HTML.

/** An element with attributes and children; `text` is its text, `on` its listeners, and absent values are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") listen(element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, ...children);
  return element;
}

/** Appends children but for absent ones, which the browser would write out as words. */
export function add(parent, ...children) {
  parent.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
}

function listen(element, listeners) {
  for (const [event, listener] of Object.entries(listeners)) element.addEventListener(event, listener);
}

/** Makes `wanted` the children of a parent, touching only what differs: focus and open details stay. */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}

/** Sets a text only if it is another: a live region should not repeat itself. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An address that a link may have: http and https only, so that a message can't bring a script. */
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}

const NUMBERS = new Intl.NumberFormat("en");

/** 12,345 */
export function number(value) {
  return NUMBERS.format(value);
}
