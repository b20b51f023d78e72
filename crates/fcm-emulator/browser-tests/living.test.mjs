// The page over time: many devices, an emulator that restarts, small windows, keyboards.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";

import { Emulator } from "./emulator.mjs";
import { count, eventually, onPage, texts } from "./on-page.mjs";

/** A wire between page and emulator that can be cut. */
class Wire {
  #sockets = new Set();

  static async to(port) {
    const wire = new Wire();
    wire.target = port;
    await wire.mend();
    return wire;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async mend() {
    this.server = createServer((near) => {
      const far = connect(this.target, "127.0.0.1");
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
        one.pipe(other);
      }
    });
    this.server.listen(this.port ?? 0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
  }

  async cut() {
    if (!this.server.listening) return;
    const closed = once(this.server, "close");
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await closed;
  }
}

const DEVICES = 2_000;
const AT_ONCE = 20;
/** Longest time that the page may be busy without drawing, on a machine that runs other tests too. */
const BUSY_MS_MAX = 5_000;

async function sendMany(emulator) {
  let next = 0;
  const sender = async () => {
    while (next < DEVICES) {
      const n = next++;
      await emulator.send({ token: `phone-${n}`, notification: { title: `Title ${n}`, body: "x".repeat(200) }, data: { pabal_id: `id-${n}` } });
    }
  };
  await emulator.send({ token: "first", notification: { title: "first" } });
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
}

onPage("2,000 devices stay usable while they arrive, and are all found", {}, async ({ emulator, page, device }) => {
  await page.evaluate(() => {
    window.longestMs = 0;
    let last = performance.now();
    const frame = (now) => {
      window.longestMs = Math.max(window.longestMs, now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await sendMany(emulator);
  await texts(page.locator("#shown"), ["The latest 48 of 2,001 devices"]);
  await texts(page.locator("#accepted"), ["2,001"]);
  await count(page.locator(".device"), 48);
  const busyMs = await page.evaluate(() => window.longestMs);
  assert.ok(busyMs < BUSY_MS_MAX, `the page was busy for ${busyMs} ms`);

  await page.getByLabel("Search by token, pabal_id or text").fill("id-17");
  await texts(page.locator("#shown"), ["The latest 48 of 111 that fit, of 2,001 devices"]);
  await page.getByLabel("Search by token, pabal_id or text").fill("title 3 phone-3");
  await page.locator(".device").first().waitFor();
  await page.getByLabel("Search by token, pabal_id or text").fill("phone-1234");
  await texts(page.locator(".device .name"), ["phone-1234"]);
  await emulator.send({ token: "phone-1234", notification: { title: "Again" } });
  await texts(device("phone-1234").card.locator(".title"), ["Again", "Title 1234"]);

  await page.reload();
  await texts(page.locator("#shown"), ["The latest 48 of 2,001 devices"]);
});

onPage("search fits token, pabal_id and text; the platform narrows it", {}, async ({ emulator, page }) => {
  await emulator.send(
    { token: "kim-android", notification: { title: "오늘의 인증", body: "사진을 올려주세요" }, data: { pabal_id: "0193-a" } },
    { token: "lee-iphone", notification: { title: "Reward" }, data: { pabal_id: "0193-b" } },
    { topic: "news", notification: { title: "Reward for all" } },
  );
  const search = page.getByLabel("Search by token, pabal_id or text");
  await count(page.locator(".device"), 3);
  await page.locator("body").press("/");
  assert.equal(await search.evaluate((input) => input === document.activeElement), true, "/ leads to the search");
  for (const [text, found] of [["LEE", ["lee-iphone"]], ["0193-a", ["kim-android"]], ["사진 kim", ["kim-android"]], ["reward", ["news", "lee-iphone"]]]) {
    await search.fill(text);
    await texts(page.locator(".device .name"), found);
  }
  await page.getByLabel("Platform").selectOption("ios");
  await texts(page.locator(".device .name"), ["lee-iphone"]);
  await search.fill("nobody");
  await texts(page.locator("#shown"), ["None of 3 devices fits"]);
});

onPage("the page goes on with an emulator that restarted", { expected: [/ERR_|EventSource/] }, async ({ emulator, page, device }) => {
  await emulator.send({ token: "before", notification: { title: "x" } });
  await count(page.locator(".device"), 1);
  await emulator.stop();
  await page.locator("#connection[data-state=lost]").waitFor();
  await texts(page.locator("#connection"), ["Not connected"]);
  const next = await Emulator.start({ port: emulator.port });
  try {
    await page.locator("#connection[data-state=live]").waitFor();
    await page.getByText("The emulator was restarted").waitFor();
    await count(page.locator(".device"), 0);
    await next.send({ token: "after", notification: { title: "y" } });
    await texts(device("after").card.locator(".title"), ["y"]);
    await page.reload();
    await texts(page.locator(".device .name"), ["after"]);
  } finally {
    await next.stop();
  }
});

onPage("a message sent while the connection was cut is there afterwards, once", { expected: [/ERR_/] }, async ({ emulator, page, origins, device }) => {
  const wire = await Wire.to(emulator.port);
  try {
    origins.push(wire.url);
    await emulator.send({ token: "phone", notification: { title: "early" } });
    await page.goto(`${wire.url}/emulator/`);
    await texts(device("phone").card.locator(".title"), ["early"]);
    await wire.cut();
    await page.locator("#connection[data-state=lost]").waitFor();
    await emulator.send({ token: "phone", notification: { title: "late" } });
    await wire.mend();
    await texts(device("phone").card.locator(".title"), ["late", "early"]);
    await texts(device("phone").card.locator(".count"), ["2 messages"]);
    await page.goto("about:blank");
    origins.push("null");
  } finally {
    await wire.cut();
  }
});

onPage("a narrow window shows everything, with the panel folded away", { look: { viewport: { width: 390, height: 780 } } }, async ({ emulator, page, device }) => {
  await emulator.send({ token: "my-browser", notification: { title: "t", body: "b".repeat(300) } });
  await device("my-browser").notifications.waitFor();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "no scrolling sideways");
  assert.equal(await page.locator("#faults").isVisible(), false);
  await page.getByRole("button", { name: "Faults" }).click();
  await page.getByRole("button", { name: "Outage" }).click();
  await eventually(async () => assert.equal((await emulator.faults()).rates.unavailable, 1));
});

onPage("every control has a name, and dark is dark", { look: { colorScheme: "dark" } }, async ({ emulator, page, device }) => {
  await emulator.send({ token: "phone", notification: { title: "x" } });
  await device("phone").notifications.waitFor();
  const nameless = await page.locator("button, input, select, a").evaluateAll((controls) =>
    controls.filter((control) => !(control.textContent.trim() || control.ariaLabel || control.labels?.length)).map((control) => control.outerHTML));
  assert.deepEqual(nameless, []);
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  assert.equal(background, "rgb(15, 18, 25)");
});
