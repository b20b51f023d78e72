"""The recipe of the crate's README, as it stands there."""

import os
import pathlib
import re
import subprocess
import sys

README = pathlib.Path(__file__).parent.parent / "README.md"
TIMEOUT_S = 60


def test_the_readmes_recipe_works(emulator):
    [recipe] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert recipe.count("http://127.0.0.1:9099") == 1
    recipe = recipe.replace("http://127.0.0.1:9099", emulator.url)
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if emulator.ca:
        environment["REQUESTS_CA_BUNDLE"] = str(emulator.ca)
    run = subprocess.run(
        [sys.executable, "-c", recipe],
        cwd=emulator.service_account.parent,  # where its sa.json is
        env=environment,
        timeout=TIMEOUT_S,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("projects/demo/messages/")
    assert emulator.messages()[0]["reached"] == {"count": 1, "registrations": ["phone-1"]}
