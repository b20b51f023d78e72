// What can go wrong, in words, and some weathers to begin with.

/** Each rate of the faults; `often` ones are shown first. */
export const KINDS = [
  { key: "unavailable", name: "Unavailable", what: "503", often: true },
  { key: "quota", name: "Quota exceeded", what: "429", often: true },
  { key: "internal", name: "Internal error", what: "500", often: true },
  { key: "unregistered", name: "Unregistered", what: "404", often: true },
  { key: "html_502", name: "Bad gateway", what: "502, HTML", often: true },
  { key: "reset_after", name: "Answer lost", what: "accepted, then reset", often: true },
  { key: "invalid_token", name: "Invalid token", what: "400" },
  { key: "sender_mismatch", name: "Sender mismatch", what: "403" },
  { key: "third_party_auth", name: "Third-party credential", what: "401" },
  { key: "reset_before", name: "Reset before", what: "not accepted" },
  { key: "refused_stream", name: "Refused stream", what: "nothing was done" },
  { key: "goaway", name: "Go away", what: "accepted, then closed" },
];

export const PRESETS = [
  { name: "All well", faults: {} },
  { name: "Flaky", faults: { rates: { unavailable: 0.05, internal: 0.02, html_502: 0.01 }, latency_ms: { min: 20, max: 300 } } },
  { name: "Outage", faults: { rates: { unavailable: 1 }, retry_after_s: { min: 5, max: 30 } } },
  { name: "Slow", faults: { latency_ms: { min: 1_000, max: 4_000 } } },
  { name: "Tight quota", faults: { quota: { per_minute: 60, burst: 10 } } },
  { name: "Lost answers", faults: { rates: { reset_after: 0.2 } } },
];

/** Switches of the faults. */
export const SWITCHES = [
  { key: "missing_details", name: "Errors without details" },
  { key: "dead_tokens_as_400", name: "Dead tokens answered 400" },
  { key: "html_401", name: "Bad access token answered as HTML" },
];

/** The rule that decides about a token, as the emulator finds it: the first that fits. */
export function ruleFor(faults, token) {
  return (faults?.tokens ?? []).find(({ prefix }) =>
    prefix.endsWith("$") ? prefix.slice(0, -1) === token : token.startsWith(prefix),
  );
}

/** Everything that a preset decides, off. */
export function calm() {
  const switches = Object.fromEntries(SWITCHES.map(({ key }) => [key, false]));
  return { rates: {}, retry_after_s: null, latency_ms: null, quota: null, ...switches };
}

/** A share as people write it: 5 %, 0.1 %. */
export function percent(rate) {
  return `${Number((rate * 100).toPrecision(3))} %`;
}

/** What is in force, in one sentence. */
export function inWords(faults) {
  const parts = KINDS.filter(({ key }) => faults.rates?.[key] > 0).map(({ key, name }) => `${name} ${percent(faults.rates[key])}`);
  if (faults.latency_ms) parts.push(`latency ${range(faults.latency_ms)} ms`);
  if (faults.retry_after_s) parts.push(`Retry-After ${range(faults.retry_after_s)} s`);
  if (faults.quota) parts.push(`${faults.quota.per_minute} a minute`);
  parts.push(...SWITCHES.filter(({ key }) => faults[key]).map(({ name }) => name));
  if (Object.values(faults.limits ?? {}).some((limit) => limit !== null)) parts.push("limits per device");
  const rules = faults.tokens?.length ?? 0;
  if (rules > 0) parts.push(`${rules} ${rules === 1 ? "rule" : "rules"} for tokens`);
  return parts.length === 0 ? "Nothing goes wrong." : parts.join(" · ");
}

function range({ min, max }) {
  return min === max ? `${min}` : `${min}–${max}`;
}
