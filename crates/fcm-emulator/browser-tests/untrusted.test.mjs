// Messages are written by whoever sends: nothing in them runs, and nothing in them leads anywhere by itself.

import assert from "node:assert/strict";

import { count, eventually, onPage, texts } from "./on-page.mjs";

const MARKUP = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

onPage("markup in a message is text", {}, async ({ emulator, page, device }) => {
  await emulator.send({
    token: "phone", notification: { title: MARKUP, body: MARKUP, image: MARKUP },
    data: { [MARKUP]: MARKUP, link: "javascript:document.title='owned'" },
    android: { notification: { tag: MARKUP, channel_id: MARKUP } },
  });
  const { card } = device("phone");
  await texts(card.locator(".title"), [MARKUP]);
  await texts(card.locator(".body"), [MARKUP]);
  await card.getByText("data 2").click();
  await card.getByText("as sent").click();
  assert.match(await card.locator(".more").first().innerText(), /onerror/);
  await count(card.locator("a, img, script, button:text('Load image')"), 0);
  assert.match(await card.locator("p.link").innerText(), /^javascript:/);
  assert.equal(await page.title(), "FCM emulator");
});

onPage("only http and https are links", {}, async ({ emulator, device }) => {
  const addresses = ["javascript:alert(1)", "data:text/html,x", "myapp://day", "//example.com", "https://example.com/a", "HTTP://example.com/b"];
  for (const link of addresses) await emulator.send({ token: "phone", notification: { title: "t" }, data: { link } });
  const { card } = device("phone");
  await count(card.locator(".notification"), addresses.length);
  const hrefs = await card.locator("a").evaluateAll((links) => links.map((link) => link.href));
  assert.deepEqual(hrefs, ["http://example.com/b", "https://example.com/a"]);
});

onPage("the browser would not run or load what is not the page's own", { expected: [/Content Security Policy|Trusted/i] }, async ({ page }) => {
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.textContent = "document.title = 'owned'";
    } catch {
      return "refused";
    }
    document.body.append(script);
    return document.title;
  });
  assert.notEqual(ran, "owned");
  const loaded = await page.evaluate(() => fetch("http://127.0.0.1:1/").then(() => "loaded", () => "refused"));
  assert.equal(loaded, "refused");
});

onPage("odd names and shapes break nothing", {}, async ({ emulator, page, device }) => {
  await emulator.send(
    { token: "phone", data: { __proto__x: "1", constructor: "2", toString: "3" } },
    { token: "phone", notification: { title: "‮mirrored", body: "a\nb" }, apns: { payload: { aps: { alert: "bare", sound: { name: "ding" } }, deep: { a: [1, null] } } } },
    { token: "phone", notification: { title: "w".repeat(900) }, webpush: { notification: { actions: [{ title: "Yes" }, null], tag: "x" } } },
  );
  await eventually(async () => assert.equal(await page.locator("#accepted").innerText(), "3"));
  for (const platform of ["web", "ios", "android"]) {
    await device("phone").card.getByLabel("Shown as").selectOption(platform);
    await count(device("phone").card.locator(".notification"), 3);
  }
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "nothing is wider than the page");
});
