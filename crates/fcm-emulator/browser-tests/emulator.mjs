// The real emulator as a child process, and a client that signs in as an SDK does.

import { spawn } from "node:child_process";
import { createSign } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Nothing here takes longer, unless it hangs. */
export const DEADLINE_MS = 30_000;
const SCOPE = "https://www.googleapis.com/auth/firebase.messaging";

export class Emulator {
  /** Starts the binary that FCM_EMULATOR names; `port` 0 is a free one. */
  static async start({ port = 0, projects = ["demo"] } = {}) {
    const binary = process.env.FCM_EMULATOR;
    if (!binary) throw new Error("FCM_EMULATOR must be the path of the emulator's binary");
    const folder = await mkdtemp(join(tmpdir(), "fcm-emulator-"));
    const account = join(folder, "sa.json");
    const served = projects.flatMap((project) => ["--project", project]);
    const child = spawn(binary, ["--listen", `127.0.0.1:${port}`, ...served, "--service-account-out", account], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const greeting = createInterface({ input: child.stdout });
    // The service account is written before the emulator greets.
    const [line] = await Promise.race([once(greeting, "line"), ended(child)]);
    const url = /listening on (http\S+),/.exec(line)[1];
    return new Emulator({ child, folder, url, account: JSON.parse(await readFile(account, "utf8")) });
  }

  constructor({ child, folder, url, account }) {
    Object.assign(this, { child, folder, url, account, port: Number(new URL(url).port) });
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM");
      await once(this.child, "exit");
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  async #signIn() {
    const nowS = Math.floor(Date.now() / 1_000);
    const { client_email: iss, token_uri: aud, private_key: key } = this.account;
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const unsigned = `${part({ alg: "RS256", typ: "JWT" })}.${part({ iss, scope: SCOPE, aud, iat: nowS, exp: nowS + 3_600 })}`;
    const signature = createSign("RSA-SHA256").update(unsigned).sign(key, "base64url");
    const form = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: `${unsigned}.${signature}`,
    });
    const answer = await fetch(aud, { method: "POST", body: form });
    return (await answer.json()).access_token;
  }

  /** Sends a message, and returns the answer's status. */
  trySend(message, options = {}) {
    return this.#post("messages:send", { message, ...options });
  }

  /** Subscribes a device to a topic. */
  async subscribe(token, topic) {
    const status = await this.#post(`registrations/${token}/topicSubscriptions?topic_name=${topic}`, {});
    if (status !== 200) throw new Error(`the emulator answered ${status} to a subscription`);
  }

  async #post(path, body) {
    this.bearer ??= await this.#signIn();
    const answer = await fetch(`${this.url}/v1/projects/${this.account.project_id}/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.bearer}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    await answer.arrayBuffer();
    return answer.status;
  }

  /** Sends messages, one after the other; each must be accepted. */
  async send(...messages) {
    for (const message of messages) {
      const status = await this.trySend(message);
      if (status !== 200) throw new Error(`the emulator answered ${status} to ${JSON.stringify(message)}`);
    }
  }

  async putFaults(faults) {
    const answer = await fetch(`${this.url}/emulator/v1/faults`, { method: "PUT", body: JSON.stringify(faults) });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async faults() {
    return (await fetch(`${this.url}/emulator/v1/faults`)).json();
  }
}

async function ended(child) {
  const [code] = await once(child, "exit", { signal: AbortSignal.timeout(DEADLINE_MS) });
  throw new Error(`the emulator ended with ${code} before it listened`);
}
