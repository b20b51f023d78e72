// How the tests are told: a line for each, the reason where one failed, and at the end the counts on one line.

export default async function* report(events) {
  let passed = 0;
  let failed = 0;
  for await (const { type, data } of events) {
    if (type === "test:pass") {
      passed += 1;
      yield `ok ${data.name} (${Math.round(data.details.duration_ms)} ms)\n`;
    } else if (type === "test:fail") {
      failed += 1;
      const { error } = data.details;
      yield `FAILED ${data.name}\n${error?.cause?.stack ?? error?.stack ?? error}\n`;
    } else if (type === "test:stderr" || type === "test:stdout") {
      yield data.message;
    }
  }
  yield `\n${passed} passed, ${failed} failed\n`;
}
