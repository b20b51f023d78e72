// What the page asks of the emulator. A refusal is an Error with the emulator's own sentence.

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The emulator does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.error ?? `The emulator answered ${answer.status}.`);
}

/** Puts faults in force. */
export async function putFaults(faults) {
  return (await ask("PUT", "v1/faults", faults)).json();
}

/** Forgets all messages and counts. */
export async function clearMessages() {
  await ask("DELETE", "v1/messages");
}
