// What arrives, and how each platform shows it.

import assert from "node:assert/strict";

import { count, eventually, onPage, texts } from "./on-page.mjs";

onPage("an empty page says how to begin, with this emulator's address", {}, async ({ emulator, page }) => {
  await page.getByRole("heading", { name: "Nothing has arrived yet" }).waitFor();
  const snippet = page.locator(".snippet pre");
  assert.match(await snippet.innerText(), new RegExp(`FCM_URL = "${emulator.url}/v1/projects/\\{0\\}/messages:send"`));
  await page.getByRole("button", { name: "Go", exact: true }).click();
  assert.match(await snippet.innerText(), new RegExp(`option.WithEndpoint\\("${emulator.url}/v1"\\)`));
  await texts(page.locator("#projects li"), ["demo"]);
  await texts(page.locator("#accepted"), ["0"]);
});

onPage("a message appears live on its phone, and on no other", {}, async ({ emulator, page, device }) => {
  await emulator.send({ token: "phone-1", notification: { title: "First", body: "one" } });
  await texts(device("phone-1").card.locator(".title"), ["First"]);
  await page.locator("#first-steps").waitFor({ state: "hidden" });
  await emulator.send({ token: "phone-10", notification: { title: "Second", body: "two" } });
  await texts(device("phone-10").card.locator(".title"), ["Second"]);
  await emulator.send({ fid: "phone-1", notification: { title: "An installation", body: "three" } });
  await count(page.locator(".device"), 3);
  await texts(page.locator("#accepted, #unique"), ["3", "3"]);
  assert.equal(await page.locator(".device .title").first().innerText(), "An installation", "the newest device is first");
});

onPage("each platform's own part of a message is honoured", {}, async ({ emulator, device }) => {
  const message = {
    notification: { title: "Common", body: "common body" },
    android: { notification: { title: "Android's", channel_id: "news", color: "#ff0000" } },
    apns: { payload: { aps: { alert: { title: "Apple's", subtitle: "Sub", body: "apple body" }, badge: 3 } } },
    webpush: { notification: { title: "Web's", requireInteraction: true }, fcm_options: { link: "https://example.com/w?x=1" } },
  };
  for (const token of ["my-android", "my-iphone", "my-browser"]) await emulator.send({ ...message, token });
  const [android, ios, web] = ["my-android", "my-iphone", "my-browser"].map(device);
  await texts(android.card.locator(".title, .body"), ["Android's", "common body"]);
  await texts(ios.card.locator(".title, .subtitle, .body"), ["Apple's", "Sub", "apple body"]);
  await texts(web.card.locator(".title, .body"), ["Web's", "common body"]);
  for (const [shown, platform] of [[android, "android"], [ios, "ios"], [web, "web"]]) {
    assert.equal(await shown.card.getAttribute("data-platform"), platform);
    await count(shown.card.locator(`.notification.${platform}`), 1);
  }
  assert.equal(await ios.card.locator(".big-clock").isVisible(), true, "an iPhone shows its big clock");
  assert.equal(await web.card.locator(".address").isVisible(), true, "a browser shows its address bar");
  assert.equal(await android.card.locator(".icon").evaluate((icon) => getComputedStyle(icon).backgroundColor), "rgb(255, 0, 0)");
  await ios.card.getByText("details").click();
  assert.match(await ios.card.locator(".more dl").innerText(), /badge\s+3/);
  await android.card.getByLabel("Shown as").selectOption("web");
  await texts(android.card.locator(".title"), ["Web's"]);
});

onPage("the one platform that a message has a block for is the device's", {}, async ({ emulator, device }) => {
  const blocks = [["a", "android", { android: { ttl: "5s" } }], ["b", "ios", { apns: { headers: { "apns-priority": "5" } } }],
    ["c", "web", { webpush: { headers: { TTL: "5" } } }], ["d", "android", {}]];
  for (const [token, platform, block] of blocks) {
    await emulator.send({ token, notification: { title: "x" }, ...block });
    await eventually(async () => assert.equal(await device(token).card.getAttribute("data-platform"), platform));
  }
});

onPage("data, image and link; nothing is loaded before someone asks", {}, async ({ emulator, page, watched, device }) => {
  const image = `${emulator.url}/picture.png`; // of our origin, so that the test stays on this machine
  await emulator.send({
    token: "phone", notification: { title: "T", body: "B", image },
    data: { pabal_id: "42", link: "https://example.com/day?x=1", nothing: "" },
  });
  const { card } = device("phone");
  const link = card.locator("a.link");
  await link.waitFor();
  assert.deepEqual(
    [await link.getAttribute("href"), await link.getAttribute("rel"), await link.innerText()],
    ["https://example.com/day?x=1", "noopener noreferrer", "example.com/day?x=1"],
  );
  await card.getByText("data 3").click();
  assert.match(await card.getByLabel("data", { exact: true }).innerText(), /pabal_id\s+42/);
  await card.getByText("as sent").click();
  assert.match(await card.locator("pre").innerText(), /"title": "T"/);
  assert.equal(await card.locator("img").count(), 0);
  assert.equal(watched.requests.includes(image), false, "the image is not asked for by itself");
  await page.route(image, (route) => route.fulfill({ contentType: "image/svg+xml", body: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>' }));
  await card.getByRole("button", { name: "Load image" }).click();
  await eventually(async () => assert.equal(await card.locator("img").evaluate((element) => element.naturalWidth), 9));
});

onPage("a data message is a silent line; a topic has a card of its own", {}, async ({ emulator, page, device }) => {
  await emulator.send({ token: "phone", data: { a: "b" } }, { topic: "news", notification: { title: "To all" } });
  await emulator.send({ condition: "'a' in topics && 'b' in topics", notification: { title: "To some" } });
  await count(device("phone").silent, 1);
  await count(device("phone").notifications, 0);
  await texts(device("news").card.locator(".title"), ["To all"]);
  await texts(page.locator('.device[data-platform="group"] .title'), ["To some", "To all"]);
  await count(device("news").card.getByRole("button"), 0);
});

onPage("what a topic reached is on the phones too", {}, async ({ emulator, page, device }) => {
  for (const token of ["phone-1", "an-iphone"]) await emulator.subscribe(token, "news");
  await emulator.send({ token: "phone-1", notification: { title: "Own" } }, { topic: "news", notification: { title: "To all" } });
  await texts(device("phone-1").card.locator(".title"), ["To all", "Own"]);
  await texts(device("an-iphone").card.locator(".title"), ["To all"]);
  await device("news").card.getByText("details").click();
  assert.match(await device("news").card.locator(".more dl").innerText(), /reached\s+2 devices/);
  await texts(page.locator("#accepted"), ["2"]);
});

onPage("a validation is not shown as delivered", {}, async ({ emulator, page }) => {
  assert.equal(await emulator.trySend({ token: "phone", notification: { title: "x" } }, { validate_only: true }), 200);
  await emulator.send({ token: "other", notification: { title: "y" } });
  await texts(page.locator(".device .name"), ["other"]);
  await texts(page.locator("#accepted"), ["1"]);
});

onPage("messages are cleared here and elsewhere", {}, async ({ emulator, page }) => {
  await emulator.send({ token: "phone", notification: { title: "x" } });
  await count(page.locator(".device"), 1);
  await page.getByRole("button", { name: "Clear messages" }).click();
  await page.getByRole("heading", { name: "Nothing has arrived yet" }).waitFor();
  await texts(page.locator("#accepted"), ["0"]);
  await emulator.send({ token: "phone", notification: { title: "y" } });
  await texts(page.locator(".title"), ["y"]);
  await fetch(`${emulator.url}/emulator/v1/messages`, { method: "DELETE" });
  await count(page.locator(".device"), 0);
});
