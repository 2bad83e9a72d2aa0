"""The page's scripts without a browser: their own tests, their types, their style."""

import subprocess

import pytest

from tests.conftest import ROOT
from tests.demo.node import node

TOOLS = ROOT / "node_modules" / ".bin"
TESTS = sorted(map(str, (ROOT / "tests" / "page").glob("*.test.js")))


@pytest.mark.parametrize(
    "command",
    [
        (TOOLS / "tsc", "-p", "jsconfig.json"),
        (TOOLS / "biome", "lint", "--error-on-warnings"),
        (None, "--test", *TESTS),
    ],
    ids=["types", "style", "tests"],
)
def test_the_scripts_of_the_page_hold(command):
    program, *arguments = command
    if program is not None and not program.exists():
        pytest.skip("node_modules is not there: npm ci (`make test` runs it where it can)")
    done = subprocess.run([program or node(), *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
