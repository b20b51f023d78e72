// What is on a device's screen, from the log of what was sent to it. Pure, so that the same log can be looked at as
// another platform's.
//
// On the screen a notification replaces the one of the same Android tag, apns-collapse-id or web tag. While a device
// is offline, messages wait; of those with the same Android collapse key, apns-collapse-id or web push `Topic` the
// last one alone is kept, of Android's at most COLLAPSE_KEYS different ones, and none past its time to live. (Firebase
// documentation adds that Android's notification messages collapse without a key; senders can't rely on either.)

import { COLLAPSE_KEYS } from "./limits.js";
import { faceOf } from "./message.js";

/**
 * Log entries are `{received, wait}`, oldest first; a wait is `{endedMs}` shared by what came while the device was
 * offline, and `endedMs` is null as long as it still is. Returns what is shown, newest first, and how many messages
 * wait and will never be shown.
 */
export function screenOf(log, platform) {
  const screen = { shown: [], waiting: 0, lost: 0 };
  for (const batch of batches(log)) {
    const arrivals = batch[0].wait === null ? batch.map((entry) => arrival(entry, platform)) : kept(batch, platform, screen);
    if (batch[0].wait !== null && batch[0].wait.endedMs === null) screen.waiting += arrivals.length;
    else for (const item of arrivals) show(screen.shown, item);
  }
  screen.shown.reverse();
  return screen;
}

/** Neighbours that shared a wait; what came online is a batch of its own. */
function batches(log) {
  const all = [];
  for (const entry of log) {
    const last = all.at(-1);
    if (last && last[0].wait === entry.wait) last.push(entry);
    else all.push([entry]);
  }
  return all;
}

function arrival({ received }, platform) {
  return { received, face: faceOf(received.message, platform), replaced: 0 };
}

/** What is left of a wait at its end, or so far. */
function kept(batch, platform, screen) {
  const endMs = batch[0].wait.endedMs ?? Date.now();
  const waiting = new Map(); // by collapse key; those without one are each for themselves
  for (const entry of batch) {
    const item = arrival(entry, platform);
    if (isExpired(item, endMs)) {
      screen.lost += 1;
      continue;
    }
    const key = item.face.collapses || entry;
    item.replaced = waiting.has(key) ? waiting.get(key).replaced + 1 : 0;
    waiting.delete(key);
    waiting.set(key, item);
    const keys = [...waiting.keys()].filter((candidate) => typeof candidate === "string");
    if (platform === "android" && keys.length > COLLAPSE_KEYS) {
      waiting.delete(keys[0]);
      screen.lost += 1;
    }
  }
  return [...waiting.values()];
}

function isExpired({ received, face }, atMs) {
  const expiresMs = face.expiresMs ?? (face.ttlMs === undefined ? Infinity : received.atMs + face.ttlMs);
  return expiresMs <= atMs;
}

function show(shown, item) {
  const same = (other) => !other.face.silent && other.face.replaces === item.face.replaces;
  const index = item.face.silent || !item.face.replaces ? -1 : shown.findIndex(same);
  if (index >= 0) item.replaced += shown.splice(index, 1)[0].replaced + 1;
  shown.push(item);
}
