// What takes the place of what, on the screen and while a device is offline.

import assert from "node:assert/strict";

import { count, eventually, onPage, texts } from "./on-page.mjs";

const COPIES = ["one", "two", "three"];

async function copies(emulator, token, of) {
  for (const title of COPIES) await emulator.send({ token, notification: { title }, ...of });
}

onPage("a copy of the same tag or collapse id replaces the one before", {}, async ({ emulator, device }) => {
  await copies(emulator, "an-android", { android: { notification: { tag: "t" } } });
  await copies(emulator, "an-iphone", { apns: { headers: { "APNS-Collapse-Id": "c" } } });
  await copies(emulator, "a-browser", { webpush: { notification: { tag: "t" } } });
  for (const token of ["an-android", "an-iphone", "a-browser"]) {
    await texts(device(token).card.locator(".title"), ["three"]);
    await texts(device(token).card.locator(".replaced"), ["replaced ×2"]);
  }
  await emulator.send({ token: "an-android", notification: { title: "other" }, android: { notification: { tag: "u" } } });
  await texts(device("an-android").card.locator(".title"), ["other", "three"]);
});

onPage("what only collapses while a device is away replaces nothing on its screen", {}, async ({ emulator, device }) => {
  await copies(emulator, "an-android", { android: { collapse_key: "k" } });
  await copies(emulator, "a-browser", { webpush: { headers: { Topic: "k" } } });
  await copies(emulator, "plain", {});
  for (const token of ["an-android", "a-browser", "plain"]) {
    await texts(device(token).card.locator(".title"), ["three", "two", "one"]);
    await count(device(token).card.locator(".replaced"), 0);
  }
});

onPage("offline, messages wait and collapse; online again, the last of each key is shown", {}, async ({ emulator, device }) => {
  const phone = device("phone");
  await emulator.send({ token: "phone", notification: { title: "before" } });
  await phone.button("Go offline").click();
  await phone.card.locator(".state", { hasText: "offline" }).waitFor();
  await copies(emulator, "phone", { android: { collapse_key: "k" } });
  await copies(emulator, "phone", { android: { collapse_key: "l" } });
  await emulator.send({ token: "phone", notification: { title: "now or never" }, android: { ttl: "0s" } });
  await emulator.send({ token: "phone", notification: { title: "own" } });
  await texts(phone.card.locator(".below"), ["3 waiting until it is online · 1 lost while it was offline"]);
  await texts(phone.card.locator(".title"), ["before"]);
  await phone.button("Go online").click();
  await texts(phone.card.locator(".title"), ["own", "three", "three", "before"]);
  await texts(phone.card.locator(".replaced"), ["replaced ×2", "replaced ×2"]);
});

onPage("FCM keeps four collapse keys of a device that is away", {}, async ({ emulator, device }) => {
  const phone = device("phone");
  await emulator.send({ token: "phone", notification: { title: "before" } });
  await phone.button("Go offline").click();
  for (const key of ["1", "2", "3", "4", "5"]) {
    await emulator.send({ token: "phone", notification: { title: key }, android: { collapse_key: key } });
  }
  await texts(phone.card.locator(".below"), ["4 waiting until it is online · 1 lost while it was offline"]);
  await phone.button("Go online").click();
  await texts(phone.card.locator(".title"), ["5", "4", "3", "2", "before"]);
});

onPage("a device's screen is bounded, and says what it leaves out", {}, async ({ emulator, device }) => {
  for (let n = 1; n <= 55; n += 1) await emulator.send({ token: "phone", notification: { title: `${n}` }, ...(n > 25 && { android: { notification: { tag: `${n % 30}` } } }) });
  const { card } = device("phone");
  await eventually(async () => assert.match(await card.locator("footer").innerText(), /^55 messages/));
  await count(card.locator(".title"), 20);
  assert.equal(await card.locator(".title").first().innerText(), "55");
  assert.match(await card.locator(".below").innerText(), /earlier not drawn$/);
});
