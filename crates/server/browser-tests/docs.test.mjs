// The page at /docs, in a real browser: all of the document is there, and nothing comes from elsewhere.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { launch } from "../../fcm-emulator/browser-tests/browser.mjs";
import { DEADLINE_MS } from "../../fcm-emulator/browser-tests/emulator.mjs";
import { count, eventually, texts } from "../../fcm-emulator/browser-tests/on-page.mjs";
import { Pabal } from "./pabal.mjs";

let browser;
let pabal;
after(async () => {
  await browser?.close();
  await pabal?.stop();
});

/** A test with a page of its own. It may ask this server only, and must have nothing to complain of. */
function onDocs(name, { at = "/docs", look = {} }, body) {
  test(name, { timeout: 4 * DEADLINE_MS }, async () => {
    browser ??= await launch();
    pabal ??= await Pabal.start();
    const context = await browser.newContext({ viewport: { width: 1_400, height: 900 }, reducedMotion: "reduce", ...look });
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    const requests = [];
    const complaints = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(pabal.url + at);
    await page.locator("body[data-state=ready]").waitFor();
    await body({ page, document: await (await fetch(`${pabal.url}/openapi.json`)).json() });
    assert.deepEqual(requests.filter((address) => !address.startsWith(pabal.url)), [], "requests elsewhere");
    assert.deepEqual(complaints, [], "complaints in the console");
    await context.close();
  });
}

const sorted = (values) => [...values].sort();

onDocs("every operation is shown, with its path, scope, answers and a request", {}, async ({ page, document }) => {
  const operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })));
  const ids = await page.locator(".operation").evaluateAll((cards) => cards.map((card) => card.id));
  assert.deepEqual(sorted(ids), sorted(operations.map((operation) => operation.operationId)));
  await count(page.locator("#contents li"), operations.length);
  for (const { operationId, method, path, security, responses, parameters = [] } of operations) {
    const card = page.locator(`#${operationId}`);
    assert.equal(await card.locator(".route > .method").innerText(), method.toUpperCase());
    assert.equal(await card.locator(".route > .path").innerText(), path);
    const scope = security.flatMap((needed) => needed.key ?? []).join(", ");
    assert.equal(await card.locator(".scope").innerText(), scope ? `scope ${scope}` : "no key needed");
    assert.deepEqual(sorted(await card.locator(".status").allTextContents()), sorted(Object.keys(responses)), operationId);
    const shown = await card.locator(".part", { hasText: "Parameters" }).locator("> .rows > .row").count();
    assert.equal(shown, parameters.length, `${operationId}: parameters`);
    const request = await card.locator(".panel").first().innerText();
    assert.ok(request.includes("curl ") && !request.includes("undefined") && !request.includes("{id}"), request);
  }
  const whole = await page.locator("#operations").innerText();
  assert.ok(!/undefined|\[object|NaN/.test(whole), "something is not shown as what it is");
});

onDocs("fields have their limits, words and insides", {}, async ({ page }) => {
  const card = page.locator("#sendNotification");
  const row = (name) => card.locator(".row", { has: page.locator(`> .name code:text-is("${name}")`) }).first();
  assert.match(await row("title").innerText(), /string or null\s+1 to 1,024 characters/);
  assert.match(await row("ttl").innerText(), /0 to 2,419,200\s+default 2419200/);
  assert.match(await row("lane").innerText(), /transactional\s+bulk/);
  assert.match(await row("to").innerText(), /required/);
  await row("to").locator("summary").first().click();
  assert.match(await row("users").innerText(), /1 to 1,000 items\s+each once/);
  await card.locator(".problems summary").click();
  assert.match(await card.locator(".problems").innerText(), /idempotency_key_reused/);
});

onDocs("what is composed is shown as one, in a sensible order", {}, async ({ page }) => {
  const card = page.locator("#listDeadLetters");
  const variants = card.locator(".part > .rows > .row > .about > .variants > details");
  const kinds = variants.locator("> summary");
  await texts(kinds, ["kind: “delivery”", "kind: “notification”"]);
  await kinds.first().click();
  const names = await variants.first().locator("> .rows > .row > .name code").allInnerTexts();
  assert.deepEqual(names.slice(0, 4), ["kind", "id", "notification", "to"]);
  assert.deepEqual(names.filter((name) => ["lane", "last_attempt"].includes(name)).length, 2);
  const answer = await card.locator(".panel").nth(1).innerText();
  assert.ok(answer.indexOf('"kind"') < answer.indexOf('"id"') && answer.indexOf('"id"') < answer.indexOf('"created_at"'), answer);
});

onDocs("a search finds by words, and / leads to it", {}, async ({ page }) => {
  await page.locator("body").press("/");
  await page.keyboard.type("redrive stop");
  await texts(page.locator("#found"), ["1 operation fits"]);
  await texts(page.locator(".operation:visible h3"), ["Stop a redrive"]);
  await texts(page.locator("#contents li:visible span:last-child"), ["Stop a redrive"]);
  await page.getByLabel("Search operations").fill("nothing like that");
  await texts(page.locator("#found"), ["No operations fit"]);
  await page.keyboard.press("Escape");
  await eventually(async () => assert.ok((await page.locator(".operation:visible").count()) > 30));
});

onDocs("a link leads to its operation", { at: "/docs#beginRedrive" }, async ({ page }) => {
  await eventually(async () => {
    const box = await page.locator("#beginRedrive").boundingBox();
    assert.ok(box.y >= 0 && box.y < 300, `it is at ${box.y}`);
  });
  await eventually(async () => assert.equal(await page.locator("#contents [aria-current]").innerText(), "POST\nSend dead letters again"));
});

onDocs("the theme is the system's until one is chosen", { look: { colorScheme: "dark" } }, async ({ page }) => {
  const theme = () => page.locator("html").getAttribute("data-theme");
  assert.equal(await theme(), "dark");
  await page.getByRole("button", { name: "Light" }).click();
  assert.equal(await theme(), "light");
  await page.reload();
  await page.locator("body[data-state=ready]").waitFor();
  assert.equal(await theme(), "light");
});

onDocs("it fits a phone", { at: "/docs/", look: { viewport: { width: 390, height: 800 } } }, async ({ page }) => {
  assert.equal(new URL(page.url()).pathname, "/docs");
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(tooWide <= 0, `${tooWide} px too wide`);
});

test("nothing but its own files may be loaded", { timeout: DEADLINE_MS }, async () => {
  pabal ??= await Pabal.start();
  const answer = await fetch(`${pabal.url}/docs`);
  const policy = answer.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(part), policy);
  }
  assert.equal((await fetch(`${pabal.url}/docs/nothing.js`)).status, 404);
});
