"""What an upgrade of Gradio may take away."""

import importlib
import re
import subprocess
import sys

from tests.conftest import ROOT
from tests.demo.conftest import run


def test_every_private_name_of_gradio_is_still_there():
    import gradio as gr  # here: it takes seconds, and not every worker needs it

    from demo.gradio_private import PRIVATE

    async def queue():
        return gr.Blocks()._queue  # outside a running loop Gradio makes one and leaves it open

    for name, reason in PRIVATE.items():
        path = name.split(".")
        if path[1] == "Queue":
            owner, path = run(queue()), path[2:]
        else:
            owner = gr
            if path[1].islower():
                owner, path = importlib.import_module(".".join(path[:2])), path[1:]
            path = path[1:]
        for part in path:
            assert hasattr(owner, part), f"{name} is gone: {reason}"
            owner = getattr(owner, part)


def test_no_component_is_parsed_while_gradio_is_imported():
    code = "import ast; ast.get_source_segment = None; import demo.server; print('imported')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr


def test_no_other_file_imports_gradio_or_leans_on_a_private_name():
    for path in (ROOT / "demo").rglob("*.py"):
        if path.name != "gradio_private.py":
            text = path.read_text()
            assert re.findall(r"from gradio[ .].*|import gradio.*", text, re.M) == [], path
            assert "._queue" not in text
