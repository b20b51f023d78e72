// Elements without markup in strings: what is shown is text, whatever it holds.

/** `h("p.lead", {id: "x"}, "text", child)`; attributes that are false or null are left out. */
export function h(selector, attributes = {}, ...children) {
  const [name, ...classes] = selector.split(".");
  const element = document.createElement(name || "div");
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button that copies what `text()` says. */
export function copyButton(text) {
  const button = h("button.copy", { type: "button", onclick: copy }, "Copy");
  async function copy() {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not possible";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1_500);
  }
  return button;
}
