// A test with an emulator and a page of its own. Whatever it is about, the page may ask its own origin only, and must
// have nothing to complain of in the console.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { launch, open } from "./browser.mjs";
import { DEADLINE_MS, Emulator } from "./emulator.mjs";

let browser;
after(() => browser?.close());

/**
 * `body({emulator, page, watched, origins, device})`; what it adds to `origins` may be asked too. Options: `before(emulator)`, what is sent before the page opens;
 * `expected`, complaints that the test is about; `look`, the browser's settings.
 */
export function onPage(name, { before = async () => {}, expected = [], look = {} }, body) {
  test(name, { timeout: 4 * DEADLINE_MS }, async () => {
    browser ??= await launch();
    const emulator = await Emulator.start();
    try {
      await before(emulator);
      const { page, context, watched } = await open(browser, emulator, look);
      const origins = [new URL(emulator.url).origin];
      const scene = { emulator, page, watched, origins, device: (target) => deviceOf(page, target) };
      await page.locator("#connection[data-state=live]").waitFor();
      await body(scene);
      const elsewhere = watched.requests.filter((address) => !origins.includes(new URL(address).origin));
      assert.deepEqual(elsewhere, [], "requests elsewhere");
      const surprising = watched.complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
      assert.deepEqual(surprising, [], "complaints in the console");
      await context.close();
    } finally {
      await emulator.stop();
    }
  });
}

function deviceOf(page, target) {
  const card = page.locator(".device").filter({ has: page.locator(`.name[title="${target}"]`) });
  return {
    card,
    notifications: card.locator(".notification:not(.silent)"),
    silent: card.locator(".notification.silent"),
    button: (name) => card.getByRole("button", { name, exact: true }),
  };
}

/** Waits until an assertion holds; its last failure is thrown at the deadline. */
export async function eventually(check) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(25);
    }
  }
}

/** Waits until a locator's elements have these texts. */
export async function texts(locator, expected) {
  await eventually(async () => assert.deepEqual(await locator.allInnerTexts(), expected));
}

/** Waits until so many elements fit. */
export async function count(locator, expected) {
  await eventually(async () => assert.equal(await locator.count(), expected));
}
