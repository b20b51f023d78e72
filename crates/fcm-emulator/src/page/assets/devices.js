// The devices that the page knows, and what was sent to each. Bounded: those that were quiet for longest go first.

import { DEVICES_KEPT, MESSAGES_KEPT, MESSAGES_PER_DEVICE } from "./limits.js";
import { platformOf } from "./message.js";

/** A token or installation id, or a group of devices: a topic or condition. */
export class Device {
  constructor(key, { project, kind, target }) {
    Object.assign(this, { key, project, target, kind });
    this.isGroup = kind === "topic" || kind === "condition";
    this.log = [];
    this.total = 0;
    /** Counts changes, so that a card knows whether it is up to date. */
    this.version = 0;
    this.wait = null;
    this.guessed = undefined;
    this.chosen = undefined;
  }

  /** `android`, `ios`, `web` or `group`: as chosen, as its messages say, or as its name does. */
  get platform() {
    return this.isGroup ? "group" : (this.chosen ?? this.guessed ?? namedAfter(this.target));
  }

  get isOffline() {
    return this.wait !== null;
  }

  choose(platform) {
    this.chosen = platform;
    this.version += 1;
  }

  /** Offline, messages wait; online again, they are shown. */
  setOffline(offline) {
    if (offline === this.isOffline) return;
    if (this.wait) this.wait.endedMs = Date.now();
    this.wait = offline ? { endedMs: null } : null;
    this.version += 1;
  }

  /** Returns how many messages it remembers more than before. */
  add(received) {
    const before = this.log.length;
    this.guessed = platformOf(received.message) ?? this.guessed;
    this.log.push({ received, wait: this.wait });
    if (this.log.length > MESSAGES_PER_DEVICE) this.log.shift();
    this.total += 1;
    this.version += 1;
    return this.log.length - before;
  }

  /** Whether every word is in its name or in one and the same of its messages. */
  fits(wanted) {
    const name = `${this.target}\n${this.project}`.toLowerCase();
    const inName = wanted.filter((word) => !name.includes(word));
    return inName.length === 0 || this.log.some((entry) => inName.every((word) => entry.received.words.includes(word)));
  }
}

/** People name test devices after what they are; Android is the most common one. */
function namedAfter(target) {
  const name = target.toLowerCase();
  if (/(^|[^a-z])(ios|iphone|ipad|apns|apple)([^a-z]|$)/.test(name)) return "ios";
  if (/(^|[^a-z])(web|browser|chrome|firefox|safari|edge)([^a-z]|$)/.test(name)) return "web";
  return "android";
}

/** Everything of a message that can be searched for. */
function words({ pabal_id: pabalId, message }) {
  return `${pabalId}\n${JSON.stringify(message)}`.toLowerCase();
}

function keyOf(project, kind, target) {
  return `${project}\n${kind}\n${target}`;
}

/** All of them, the one with the latest message last. */
export class Devices {
  #known = new Map();
  #messages = 0;
  /** Devices forgotten since the last clear. */
  forgotten = 0;

  get size() {
    return this.#known.size;
  }

  /** Takes in a message of the stream: for its target, and for the devices that a topic or condition reached. */
  add(received) {
    received.atMs = Date.parse(received.received_at);
    received.words = words(received);
    this.#deliver(received, received.target_kind, received.target);
    for (const name of received.reached?.registrations ?? []) {
      const kind = this.#known.has(keyOf(received.project, "fid", name)) ? "fid" : "token";
      this.#deliver(received, kind, name);
    }
    while (this.#known.size > 1 && (this.#known.size > DEVICES_KEPT || this.#messages > MESSAGES_KEPT)) this.#forget();
  }

  #deliver(received, kind, target) {
    const { project } = received;
    const key = keyOf(project, kind, target);
    const device = this.#known.get(key) ?? new Device(key, { project, kind, target });
    this.#known.delete(key); // so that it is the last one again
    this.#known.set(key, device);
    this.#messages += device.add(received);
  }

  #forget() {
    const [key, device] = this.#known.entries().next().value;
    this.#known.delete(key);
    this.#messages -= device.log.length;
    this.forgotten += 1;
  }

  /** Forgets what the emulator has forgotten: everything up to a cursor. */
  clear(cursor) {
    const all = [...this.#known.values()].flatMap((device) => device.log.map((entry) => entry.received));
    const later = [...new Set(all)].filter((received) => received.cursor > cursor);
    later.sort((one, other) => one.cursor - other.cursor);
    this.#known.clear();
    this.#messages = 0;
    this.forgotten = 0;
    for (const received of later) this.add(received);
  }

  /** Those that fit, the latest first. */
  find(search, platform) {
    const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
    const latest = [...this.#known.values()].reverse();
    return latest.filter((device) => (!platform || device.platform === platform) && device.fits(wanted));
  }
}
