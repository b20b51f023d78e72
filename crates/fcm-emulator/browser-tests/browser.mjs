// A real Chromium, and pages that are watched: what they ask for and what they complain about.

import { createRequire } from "node:module";
import { join } from "node:path";

import { DEADLINE_MS } from "./emulator.mjs";

// NODE_MODULES_OF is a folder in which `npm ci` was run; this one, unless said.
const require = createRequire(join(process.env.NODE_MODULES_OF ?? import.meta.dirname, "package.json"));
const { chromium } = require("playwright-core");

/** Debian's Chromium, or what CHROMIUM names. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"],
  });
}

/**
 * A page of the emulator. `watched.requests` are all addresses that it asked for, `watched.complaints` what it wrote
 * to the console as a warning or error, and what it threw. `prepare(page)` comes before its first request.
 */
export async function open(browser, emulator, options = {}, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width: 1_400, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const watched = { requests: [], complaints: [] };
  page.on("request", (request) => watched.requests.push(request.url()));
  page.on("pageerror", (error) => watched.complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) watched.complaints.push(message.text());
  });
  await prepare(page);
  await page.goto(`${emulator.url}/emulator/`);
  return { page, context, watched };
}
