"""Generated requests against a real server, each answer held against its document.

What is generated, how much, and which check is off and why: schemathesis.toml. PABAL and FCM_EMULATOR name the binaries.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from answers import check_answer, check_examples, looking
from server import KEY, World

HERE = Path(__file__).parent
# It takes a tenth of this.
GENERATING_S_MAX = 600
# Nothing that a stranger sends may lead to these in the log.
BAD_WORDS = (" ERROR ", "panicked at")


def generate(world: World, folder: Path) -> int:
    """Runs the generator; its own words go to the output as they come."""
    config = folder / "schemathesis.toml"
    lists = [f"[dictionaries.{name}]\nvalues = {json.dumps(ids)}\n" for name, ids in world.things().items()]
    config.write_text("\n".join([(HERE / "schemathesis.toml").read_text(), *lists]))
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
    arguments = ["run", f"{world.url}/openapi.json"]
    environment = {**os.environ, "PABAL_API_KEY": KEY, "PYTHONPATH": str(HERE)}
    # What it keeps for its next run would make that another run: it is kept where it is thrown away.
    return subprocess.run([*program, *arguments], cwd=folder, env=environment, timeout=GENERATING_S_MAX).returncode


def main() -> int:
    passed = failed = 0

    def expect(what: str, is_so: bool):
        nonlocal passed, failed
        passed, failed = passed + is_so, failed + (not is_so)
        print(f"{'ok' if is_so else 'FAILED'} {what}")

    with tempfile.TemporaryDirectory(prefix="pabal-api-") as name:
        folder = Path(name)
        world = World(os.environ["PABAL"], os.environ["FCM_EMULATOR"], folder)
        try:
            world.fill()
            document = world.done("GET", "/openapi.json")
            expect("the examples fit their schemas", check_examples(document))
            for operation in looking(document):
                expect(f"{operation} answers what is there", check_answer(world, document, operation))
            expect("every answer is what the document says", generate(world, folder) == 0)
            expect("the server lives", world.server.is_alive())
            expect("the server is ready", world.call("GET", "/readyz")[0] == 200)
        finally:
            code = world.stop()
        expect("the server stops in order", code == 0)
        bad = [line for line in world.server.printed().splitlines() if any(word in line for word in BAD_WORDS)]
        print("\n".join(bad[:20]), end="\n" if bad else "")
        expect("nothing in the log that should not be", not bad)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
