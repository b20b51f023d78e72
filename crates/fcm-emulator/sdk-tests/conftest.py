"""A real emulator process, over cleartext and over TLS, with Firebase's own SDK pointed at it."""

import asyncio
import json
import os
import re
import ssl
import subprocess
import urllib.request

import firebase_admin
import pytest
from firebase_admin import _http_client, credentials, messaging

GREETING = re.compile(r"FCM emulator listening on (\S+),")
CONTROL_TIMEOUT_S = 30


class Emulator:
    """The process, and what a test asks of it."""

    def __init__(self, folder, tls):
        self.service_account = folder / "sa.json"
        self.ca = folder / "ca.pem" if tls else None
        command = [os.environ["FCM_EMULATOR"], "--listen", "127.0.0.1:0", "--project", "demo", "--project", "other"]
        command += ["--service-account-out", str(self.service_account)]
        if tls:
            command += ["--tls", "--ca-out", str(self.ca)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        # Listening when it greets; no line at all when it fails, which its standard error explains.
        greeting = GREETING.match(self.process.stdout.readline())
        assert greeting, "the emulator did not start"
        self.url = greeting[1]

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/emulator/v1/{path}", data, method=method)
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=CONTROL_TIMEOUT_S) as answer:
            return answer.read().decode()

    def faults(self, **faults):
        self.control("PUT", "faults", faults)

    def rule(self, prefix, answer, **rest):
        """How sends to tokens with a prefix are answered."""
        self.faults(tokens=[{"prefix": prefix, "answer": answer, **rest}])

    def messages(self):
        return [json.loads(line) for line in self.control("GET", "messages").splitlines()]

    def subscriptions(self):
        lines = self.control("GET", "subscriptions").splitlines()
        return {(one["registration"], one["topic"]) for one in map(json.loads, lines)}

    def clear(self):
        self.faults()
        self.control("DELETE", "messages")
        self.control("DELETE", "subscriptions")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=CONTROL_TIMEOUT_S)
        self.process.stdout.close()


@pytest.fixture(scope="session", params=["cleartext", "tls"])
def process(request, tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("emulator"), tls=request.param == "tls")
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(process):
    process.clear()
    return process


@pytest.fixture
def runner():
    """One event loop for a whole test: the SDK's asynchronous client belongs to the loop that used it first."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def sdk(emulator, runner, monkeypatch):
    """Points the SDK at the emulator, as the crate's README tells; gives what makes further apps."""
    if emulator.ca:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca))
        monkeypatch.setenv("SSL_CERT_FILE", str(emulator.ca))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    service = messaging._MessagingService
    monkeypatch.setattr(service, "FCM_URL", emulator.url + "/v1/projects/{0}/messages:send")
    monkeypatch.setattr(service, "IID_URL", emulator.url)
    # As many retries as ever, without the pauses between them.
    monkeypatch.setattr(_http_client.DEFAULT_RETRY_CONFIG, "backoff_factor", 0)
    monkeypatch.setattr(_http_client.DEFAULT_HTTPX_RETRY_CONFIG, "backoff_factor", 0)
    apps = []

    def start(project="demo", name="[DEFAULT]"):
        certificate = credentials.Certificate(str(emulator.service_account))
        app = firebase_admin.initialize_app(certificate, {"projectId": project}, name)
        apps.append(app)
        topics = f"{emulator.url}/v1/projects/{project}/registrations"
        messaging._get_messaging_service(app)._fcm_topic_url = topics
        return app

    yield start
    for app in apps:
        service = messaging._get_messaging_service(app)
        runner.run(service._async_client.aclose())
        service._client.close()
        firebase_admin.delete_app(app)


@pytest.fixture
def app(sdk):
    return sdk()
