// The panel makes sends fail, says what is in force, and takes it back.

import assert from "node:assert/strict";

import { eventually, onPage, texts } from "./on-page.mjs";

const MESSAGE = { token: "phone", notification: { title: "x" } };

onPage("a slider makes sends fail, and a reset ends it", {}, async ({ emulator, page }) => {
  assert.equal(await emulator.trySend(MESSAGE), 200);
  await page.getByLabel("Unavailable").focus();
  await page.keyboard.press("End");
  await texts(page.locator(".in-force"), ["Unavailable 100 %"]);
  assert.equal(await emulator.trySend(MESSAGE), 503);
  assert.equal((await emulator.faults()).rates.unavailable, 1);
  await page.getByRole("button", { name: "Reset" }).click();
  await texts(page.locator(".in-force"), ["Nothing goes wrong."]);
  assert.equal(await emulator.trySend(MESSAGE), 200);
  assert.equal(await page.getByLabel("Unavailable").inputValue(), "0");
});

onPage("presets, latency, Retry-After, quota and switches are put in force", {}, async ({ emulator, page }) => {
  await page.getByRole("button", { name: "Outage" }).click();
  await texts(page.locator(".in-force"), ["Unavailable 100 % · Retry-After 5–30 s"]);
  await eventually(async () => assert.equal(await page.getByRole("button", { name: "Outage" }).getAttribute("aria-pressed"), "true"));
  await page.getByRole("button", { name: "All well" }).click();
  await texts(page.locator(".in-force"), ["Nothing goes wrong."]);
  await page.getByLabel("Latency, max").fill("3");
  await page.getByLabel("Retry-After, min").fill("7");
  await page.getByLabel("Quota, per minute").fill("60");
  await page.getByLabel("Quota, burst").fill("5");
  await page.getByText("Errors without details").click();
  await eventually(async () => {
    const { latency_ms, retry_after_s, quota, missing_details } = await emulator.faults();
    assert.deepEqual(
      { latency_ms, retry_after_s, quota, missing_details },
      { latency_ms: { min: 0, max: 3 }, retry_after_s: { min: 7, max: 7 }, quota: { per_minute: 60, burst: 5 }, missing_details: true },
    );
  });
  await texts(page.locator(".in-force"), ["latency 0–3 ms · Retry-After 7 s · 60 a minute · Errors without details"]);
});

onPage("what the emulator refuses is explained, and can be undone", { expected: [/status of 400/] }, async ({ emulator, page }) => {
  await emulator.putFaults({ rates: { internal: 0.6 } });
  await texts(page.locator(".in-force"), ["Internal error 60 %"]);
  await page.getByLabel("Unavailable").focus();
  await page.keyboard.press("End");
  const problem = page.getByRole("alert");
  await problem.getByText("rates: add up to 1.6; at most 1 is possible").waitFor();
  assert.equal((await emulator.faults()).rates.unavailable, 0, "what was in force stays");
  await problem.getByRole("button", { name: "Undo" }).click();
  await eventually(async () => assert.equal(await page.getByLabel("Unavailable").inputValue(), "0"));
  assert.equal(await problem.isVisible(), false);
});

onPage("faults set elsewhere are shown, and what the panel has no control for is kept", {}, async ({ emulator, page }) => {
  const tokens = [{ prefix: "flaky-", answer: "unavailable", first: 2, status: 500 }];
  await emulator.putFaults({ rates: { goaway: 0.001 }, tokens, limits: { device_per_minute: 240 } });
  await texts(page.locator(".in-force"), ["Go away 0.1 % · limits per device · 1 rule for tokens"]);
  await texts(page.locator(".rules li span"), ["flaky-…", "unavailable, first 2, as 500"]);
  await page.getByRole("button", { name: "Slow" }).click();
  await eventually(async () => assert.equal((await emulator.faults()).latency_ms?.min, 1_000));
  const kept = await emulator.faults();
  assert.deepEqual([kept.tokens, kept.limits.device_per_minute], [tokens, 240]);
  await page.getByRole("button", { name: "Remove the rule for flaky-…" }).click();
  await eventually(async () => assert.deepEqual((await emulator.faults()).tokens, []));
});

onPage("one device is unregistered, and no other whose name begins so", {}, async ({ emulator, device }) => {
  await emulator.send(MESSAGE, { ...MESSAGE, token: "phone-2" });
  const phone = device("phone");
  await phone.button("Unregister").click();
  await phone.card.getByText("answered unregistered").waitFor();
  assert.equal(await emulator.trySend(MESSAGE), 404);
  assert.equal(await emulator.trySend({ ...MESSAGE, token: "phone-2" }), 200);
  await phone.button("Register").click();
  await phone.button("Unregister").waitFor();
  assert.equal(await emulator.trySend(MESSAGE), 200);
});
