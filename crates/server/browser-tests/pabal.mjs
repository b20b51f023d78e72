// A real server as a child process. It has no project, for nothing is sent here.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { Emulator } from "../../fcm-emulator/browser-tests/emulator.mjs";

export class Pabal {
  /** Starts the binary that PABAL names on a free port, with an emulator to send to. */
  static async start() {
    const binary = process.env.PABAL;
    if (!binary) throw new Error("PABAL must be the path of the server's binary");
    const emulator = await Emulator.start();
    const folder = await mkdtemp(join(tmpdir(), "pabal-"));
    const environment = {
      PATH: process.env.PATH,
      PABAL_LISTEN: "127.0.0.1:0",
      PABAL_STORE: `sqlite://${folder}/pabal.db`,
      PABAL_API_KEY: "a-key-for-tests-of-any-length",
      PABAL_LOG_FORMAT: "json",
      PABAL_FCM_PROJECTS_DEMO_SERVICE_ACCOUNT: join(emulator.folder, "sa.json"),
      PABAL_FCM_PROJECTS_DEMO_ENDPOINT: emulator.url,
    };
    const child = spawn(binary, ["serve"], { env: environment, cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    for await (const line of createInterface({ input: child.stderr })) {
      const entry = parsed(line);
      if (entry?.message === "listening" || /listening/.test(entry?.fields?.message ?? "")) {
        const address = entry.address ?? entry.fields.address;
        child.stderr.resume();
        return new Pabal({ child, folder, emulator, url: `http://${address}` });
      }
    }
    throw new Error(`the server ended with ${child.exitCode} before it listened`);
  }

  constructor({ child, folder, emulator, url }) {
    Object.assign(this, { child, folder, emulator, url });
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM");
      await once(this.child, "exit");
    }
    await this.emulator.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
