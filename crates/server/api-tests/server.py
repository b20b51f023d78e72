"""A real server that sends to a real emulator, with something of everything in its store."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

KEY = "a-key-for-tests-of-any-length"
DEADLINE_S = 30.0
# Colours of the log.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Program:
    """A child process; what it prints goes to a file."""

    def __init__(self, arguments, log: Path):
        self.log = log
        with log.open("wb") as file:
            self.child = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def printed(self) -> str:
        return COLOURS.sub("", self.log.read_text(errors="replace"))

    def wait_for(self, pattern: str) -> str:
        """What a pattern finds in its output, once it is there."""

        def look():
            if self.child.poll() is not None:
                raise RuntimeError(f"it ended with {self.child.returncode}:\n{self.printed()}")
            found = re.search(pattern, self.printed())
            return found and found.group(1)

        return eventually(pattern, look)

    def is_alive(self) -> bool:
        return self.child.poll() is None

    def stop(self) -> int:
        self.child.terminate()
        try:
            return self.child.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


def eventually(what, look):
    """Looks until there is something."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {DEADLINE_S} s")


class World:
    def __init__(self, pabal: str, emulator: str, folder: Path):
        faults, account = folder / "faults.json", folder / "sa.json"
        faults.write_text(json.dumps({"tokens": [{"prefix": "gone-", "answer": "unregistered"}]}))
        self.emulator = Program(
            [emulator, "--listen", "127.0.0.1:0", "--faults", str(faults), "--service-account-out", str(account)],
            folder / "emulator.log",
        )
        endpoint = self.emulator.wait_for(r"listening on (http://[0-9.:]+)")
        config = folder / "pabal.toml"
        config.write_text(
            f'listen = "127.0.0.1:0"\nstore = "sqlite://{folder}/pabal.db"\napi_key = "{KEY}"\n'
            f'[fcm.projects.my-app]\nservice_account = "{account}"\nendpoint = "{endpoint}"\n'
            # More requests are open at once here than a person's patience lasts.
            "[http]\nrequest_timeout_ms = 60000\n"
        )
        self.server = Program([pabal, "serve", "--config", str(config)], folder / "server.log")
        self.url = "http://" + self.server.wait_for(r"listening address=([0-9.:]+)")

    def stop(self):
        code = self.server.stop()
        self.emulator.stop()
        return code

    def call(self, method: str, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def done(self, method: str, path: str, body=None):
        status, answer = self.call(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def things(self):
        """The ids of what is there."""
        lists = ["notifications", "deliveries", "dead-letters"]
        found = {name.replace("-", "_"): self.done("GET", f"/v1/{name}?limit=1000") for name in lists}
        return {**{name: [one["id"] for one in page[name]] for name, page in found.items()}, "users": ["ann", "bea"]}

    def fill(self):
        """Something of everything, so that each kind of answer is seen."""
        for user, device, token in [("ann", "phone", "good-1"), ("ann", "gone", "gone-a"), ("bea", "gone", "gone-b")]:
            body = {"channel": "fcm", "platform": "android", "token": token, "locale": "ko-KR"}
            self.done("PUT", f"/v1/users/{user}/devices/{device}", body)
        for n in range(20):
            # Each its own dead letter: those that are removed are gone.
            body = {"channel": "fcm", "platform": "ios", "token": f"gone-{n}"}
            self.done("PUT", f"/v1/users/many/devices/{n}", body)
        for to in [{"user": "ann"}, {"user": "many"}, {"users": ["bea", "nobody"]}, {"token": "literal"}, {"fcm_topic": "news"}]:
            self.done("POST", "/v1/notifications", {"to": to, "title": "Prove your day"})
        later = {"to": {"user": "ann"}, "title": "Later", "send_at": "2199-01-01T00:00:00Z"}
        status, answer = self.call("POST", "/v1/notifications", later)
        assert status == 422, f"{status} {answer}"
        eventually("the dead", lambda: len(self.done("GET", "/v1/dead-letters")["dead_letters"]) == 22)
        job = self.done("POST", "/v1/dead-letters/redrive", {"filter": {"until": "2020-01-01T00:00:00Z"}})
        self.redrive = job["id"]
        self.done("POST", "/v1/apps", {"name": "staging"})
        self.done("POST", "/v1/keys", {"name": "reader", "scopes": ["read"]})
