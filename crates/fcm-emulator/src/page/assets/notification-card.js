// One notification as its platform draws it, or a data message as the quiet line that nobody sees on a real device.

import { add, el, webAddress } from "./dom.js";

/** What the card of an item depends on; the same signature means the same card. */
export function signature({ received, replaced }, platform) {
  return `${platform} ${received.cursor} ${replaced}`;
}

/** The card; `more` says that earlier messages are no longer remembered, so that a count may be too small. */
export function notificationCard(item, platform, more) {
  const { received, face, replaced } = item;
  const card = face.silent ? silent() : seen(face, received, platform);
  card.dataset.at = received.atMs;
  card.dataset.cursor = received.cursor;
  card.append(details(face, received, replaced > 0 && `replaced ×${replaced}${more ? "+" : ""}`));
  return card;
}

function seen(face, received, platform) {
  const icon = appIcon(received.project);
  if (face.color) icon.style.setProperty("background", face.color);
  return el(
    "li",
    { class: `notification ${platform}` },
    icon,
    el(
      "div",
      { class: "content" },
      el("p", { class: "note" }, el("span", { class: "app", text: received.project }), el("time", { class: "age" })),
      face.title && el("p", { class: "title", text: face.title, dir: "auto" }),
      face.subtitle && el("p", { class: "subtitle", text: face.subtitle, dir: "auto" }),
      face.body && el("p", { class: "body", text: face.body, dir: "auto" }),
      face.image && picture(face.image),
      face.link && link(face.link),
    ),
  );
}

function silent() {
  return el(
    "li",
    { class: "notification silent" },
    el("p", { class: "note" }, el("span", { class: "app", text: "Data message, nothing on the screen" }), el("time", { class: "age" })),
  );
}

/** The app's icon isn't known: its first letter. */
function appIcon(project) {
  return el("span", { class: "icon", "aria-hidden": "true", text: project.slice(0, 1).toUpperCase() });
}

/** A place for the image, which is another origin's: it is loaded when someone asks for it. */
function picture(address) {
  const url = webAddress(address);
  const box = el("div", { class: "picture" });
  const load = () => {
    const image = el("img", { src: url.href, alt: "Image of the notification", referrerpolicy: "no-referrer" });
    image.addEventListener("error", () => box.replaceChildren(el("p", { text: `The image could not be loaded: ${address}` })));
    box.replaceChildren(image);
  };
  add(
    box,
    el("p", { text: url ? `Image at ${url.host}` : `Image: ${address}`, title: address }),
    url && el("button", { type: "button", text: "Load image", on: { click: load } }),
  );
  return box;
}

function link(address) {
  const url = webAddress(address);
  if (!url) return el("p", { class: "link", text: address, title: "An address of the app's own" });
  const shown = `${url.host}${url.pathname === "/" ? "" : url.pathname}${url.search}`;
  return el("a", { class: "link", href: url.href, target: "_blank", rel: "noopener noreferrer", text: shown, title: url.href });
}

/** What the app is given, made when it is opened: most never are. */
function details(face, received, replaced) {
  const data = Object.entries(face.data ?? {});
  const mark = replaced && el("span", { class: "replaced", title: "Earlier copies that this one took the place of", text: replaced });
  const box = el("details", { class: "more" }, el("summary", {}, data.length === 0 ? "details" : `data ${data.length}`, mark));
  box.addEventListener("toggle", () => {
    if (!box.open || box.childElementCount > 1) return;
    add(
      box,
      data.length > 0 && table("data", data.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)])),
      table("delivery", [...face.facts, ...way(received), ["received", received.received_at], ["cursor", String(received.cursor)]]),
      el("details", {}, el("summary", { text: "as sent" }), el("pre", { tabindex: "0", text: JSON.stringify(received.message, null, 2) })),
    );
  });
  return box;
}

/** How a message to a topic or condition came, and how far. */
function way({ target_kind: kind, target, reached }) {
  if (!reached) return [];
  return [["sent to", `${kind} ${target}`], ["reached", `${reached.count} ${reached.count === 1 ? "device" : "devices"}`]];
}

function table(name, rows) {
  const cells = rows.flatMap(([key, value]) => [el("dt", { text: key }), el("dd", { text: value, dir: "auto" })]);
  return el("dl", { "aria-label": name }, ...cells);
}

/** "now", "5m", "3h", "2d": how old, as a phone says it. */
export function age(atMs, nowMs) {
  const minutes = Math.max(0, Math.floor((nowMs - atMs) / 60_000));
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes}m`;
  return minutes < 1_440 ? `${Math.floor(minutes / 60)}h` : `${Math.floor(minutes / 1_440)}d`;
}
