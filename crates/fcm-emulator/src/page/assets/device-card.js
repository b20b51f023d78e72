// One device: its frame, its screen, and what can be done to it.

import { arrange, el, number, say } from "./dom.js";
import { ruleFor } from "./fault-kinds.js";
import { NOTIFICATIONS_SHOWN } from "./limits.js";
import { age, notificationCard, signature } from "./notification-card.js";
import { screenOf } from "./screen.js";

const NAMES = { android: "Android phone", ios: "iPhone", web: "Browser", group: "Group" };

export class DeviceCard {
  #device;
  #drawn = "";
  #cards = new Map();
  #parts;

  /** `act` has `unregister(device, yes)`, `changed()`: what the buttons do beyond the device itself. */
  constructor(device, act) {
    this.#device = device;
    this.#parts = device.isGroup ? groupParts() : deviceParts(device, act);
    const { head, frame, foot } = this.#parts;
    this.element = el("li", { class: "device" }, head, frame, foot);
    this.element.style.setProperty("--hue", String(hue(device.key)));
    head.querySelector(".name").textContent = device.target;
    head.querySelector(".name").title = device.target;
    head.querySelector(".kind").textContent = `${device.kind} · ${device.project}`;
  }

  /** Draws what is new. */
  draw(faults) {
    const device = this.#device;
    const rule = device.isGroup ? undefined : ruleFor(faults, device.target);
    const wanted = `${device.version} ${JSON.stringify(rule ?? null)}`;
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    this.element.dataset.platform = device.platform;
    this.element.classList.toggle("offline", device.isOffline);
    this.#parts.frame.setAttribute("aria-label", `${NAMES[device.platform]} ${device.target}`);
    this.#drawScreen(screenOf(device.log, device.platform));
    this.#drawFoot(rule);
  }

  #drawScreen({ shown, waiting, lost }) {
    const { list, below } = this.#parts;
    const { platform, total, log } = this.#device;
    const latest = shown.slice(0, NOTIFICATIONS_SHOWN);
    const cards = new Map();
    for (const item of latest) {
      const key = signature(item, platform);
      cards.set(key, this.#cards.get(key) ?? notificationCard(item, platform, total > log.length));
    }
    this.#cards = cards;
    arrange(list, [...cards.values()]);
    this.tick(Date.now());
    const notes = [
      waiting > 0 && `${waiting} waiting until it is online`,
      lost > 0 && `${lost} lost while it was offline`,
      shown.length > latest.length && `${number(shown.length - latest.length)} earlier not drawn`,
    ];
    say(below, notes.filter(Boolean).join(" · "));
  }

  #drawFoot(rule) {
    const { count, platform, unregister, offline, state } = this.#parts;
    const { total } = this.#device;
    say(count, `${number(total)} ${total === 1 ? "message" : "messages"}`);
    if (!platform) return;
    platform.value = this.#device.platform;
    const isGone = rule?.prefix === `${this.#device.target}$`;
    say(unregister, isGone ? "Register" : "Unregister");
    unregister.dataset.on = String(isGone);
    say(offline, this.#device.isOffline ? "Go online" : "Go offline");
    offline.dataset.on = String(this.#device.isOffline);
    this.element.classList.toggle("ruled", rule !== undefined);
    say(state, stateOf(rule, this.#device.isOffline));
  }

  /** Tells the time. */
  tick(nowMs) {
    for (const card of this.#cards.values()) {
      const time = card.querySelector(".age");
      say(time, age(Number(card.dataset.at), nowMs));
      time.dateTime = new Date(Number(card.dataset.at)).toISOString();
    }
    const { clock, date } = this.#parts;
    const now = new Date(nowMs);
    for (const face of clock ?? []) say(face, now.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }));
    if (date) say(date, now.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" }));
  }
}

function stateOf(rule, isOffline) {
  if (rule) return `answered ${rule.answer}${rule.first ? ` (first ${rule.first})` : ""}`;
  return isOffline ? "offline" : "";
}

function head() {
  return el("header", {}, el("h2", { class: "name" }), el("p", { class: "kind" }));
}

function groupParts() {
  const list = el("ol", { class: "list" });
  const below = el("p", { class: "below" });
  const count = el("span", { class: "count" });
  const frame = el("section", { class: "frame", tabindex: "0" }, list, below);
  return { head: head(), frame, foot: el("footer", {}, count), list, below, count };
}

function deviceParts(device, act) {
  const list = el("ol", { class: "list" });
  const below = el("p", { class: "below" });
  const clock = [el("span", { class: "clock" }), el("p", { class: "big-clock" })];
  const date = el("p", { class: "date" });
  const frame = el(
    "section",
    { class: "frame" },
    el("div", { class: "top", "aria-hidden": "true" }, clock[0], el("span", { class: "camera" }), el("span", { class: "battery" })),
    el("div", { class: "address", "aria-hidden": "true" }, el("span", { text: device.project })),
    el("div", { class: "screen", tabindex: "0", role: "group", "aria-label": "Notifications" },
      el("div", { class: "lock", "aria-hidden": "true" }, date, clock[1]), list, below),
  );
  const count = el("span", { class: "count" });
  const state = el("span", { class: "state" });
  const platform = platformChoice(device, act);
  const unregister = el("button", { type: "button", on: {
    click: () => act.unregister(device, unregister.dataset.on !== "true"),
  } });
  const offline = el("button", { type: "button", title: "On this page only: messages wait, and collapse where they may", on: {
    click: () => {
      device.setOffline(!device.isOffline);
      act.changed();
    },
  } });
  const foot = el("footer", {}, el("p", {}, count, state), el("div", { class: "acts" }, platform, offline, unregister));
  return { head: head(), frame, foot, list, below, clock, date, count, state, platform, unregister, offline };
}

/** The platform is a guess, so it can be told. */
function platformChoice(device, act) {
  const options = [["android", "Android"], ["ios", "iOS"], ["web", "Web"]];
  const select = el("select", { "aria-label": "Shown as" }, ...options.map(([value, text]) => el("option", { value, text })));
  select.addEventListener("change", () => {
    device.choose(select.value);
    act.changed();
  });
  return select;
}

/** A colour of its own between green and violet, the same after each reload. */
function hue(key) {
  let hash = 0;
  for (const char of key) hash = (hash * 31 + char.codePointAt(0)) % 9_973;
  return 150 + (hash % 150);
}
