"""Rows of dev.bench: the demo as a page and a program meet it, on loopback.

The demo runs in a process of its own, as `python -m demo` starts it, on the CPU. Every answer is
compared with the network asked without a demo: a row that was fast and wrong is not reported.
"""

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client import Client, handle_file

from chexnet.errors import ChexnetError
from chexnet.inference.prediction import Prediction
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from dev.bench.rows import Row, in_turn
from dev.bench.served import served
from dev.bench.setting import Setting, kind_of
from dev.bench.tutorial import Tutorial

MORE = 4
"""One visitor's calls are short: so many times the repeats are made."""
CLOSE = 1e-4
"""A probability may differ by this from the same one computed in another batch (measured: 1e-6)."""


def rows(setting: Setting) -> Iterator[Row]:
    """A visitor who uploads a picture and then chooses other findings."""
    [path] = setting.pictures(1).values()
    predictor = Predictor(setting.network, "cpu", engine="torch")
    [expected] = predictor.predict([predictor.read(path)])
    tutorial = Tutorial(setting.network, predictor.metadata.preprocessing.size)
    with served(setting.network, setting.out / "demo.log") as url:
        client = Client(url, verbose=False, analytics_enabled=False, download_files=False)
        try:
            with httpx.Client(base_url=url, timeout=60) as page:
                yield from _visit(page, client, path, expected, tutorial, MORE * setting.repeats)
        finally:
            client.close()


def _visit(
    page: httpx.Client,
    client: Client,
    path: Path,
    expected: Prediction,
    tutorial: Tutorial,
    repeats: int,
) -> Iterator[Row]:
    findings = [name for name in tutorial.classes if name in FINDINGS]
    ours, other = itertools.cycle(findings), itertools.cycle(findings)
    item = tutorial.open(path)

    def look() -> None:
        answer = page.post("/api/analyse", content=path.read_bytes()).raise_for_status().json()
        refuse_wrong(as_named(answer), expected, answer["first"])

    def ask() -> None:
        answer = client.predict(handle_file(path), api_name="/predict")
        refuse_wrong(answer, expected, answer["finding"])

    def choose() -> None:
        finding = next(ours)
        refuse_wrong(client.predict(finding=finding, api_name="/heatmap"), expected, finding)

    for work, mine, theirs, beside, target in (
        (
            f"demo: the page's upload of a {kind_of([path])}, probabilities and every heatmap",
            look,
            lambda: tutorial.look(path),
            "PIL, grad-cam of one class, overlay, in one process: no page, no upload",
            "under 250 ms",
        ),
        (
            "demo: the same by the named API, with one heatmap drawn",
            ask,
            lambda: tutorial.look(path),
            "the same",
            "under 250 ms",
        ),
        (
            "demo: another finding's heatmap by the named API",
            choose,
            lambda: tutorial.overlay(item, next(other)),
            "grad-cam of that class, overlay, in one process",
            "under 100 ms",
        ),
    ):
        yield Row(work, "ms", *in_turn(mine, theirs, repeats, 1000), beside, target)


def as_named(answer: dict[str, Any]) -> dict[str, Any]:
    """What the named API says, of the page's answer: its first finding's heatmap."""
    cells = np.frombuffer(base64.b64decode(answer["contributions"]), "<f4")
    place = answer["classes"].index(answer["first"])
    maps = cells.reshape(len(answer["classes"]), *answer["cells"])
    heat = np.maximum(maps[place], 0) * maps[place].size
    named = {"probabilities": answer["probability"], "finding": answer["first"]}
    return named | {"heatmap": heat.tolist()}


def refuse_wrong(answer: dict[str, Any], expected: Prediction, finding: str) -> None:
    """Compare the demo's answer with that of the same network without a demo.

    Raises:
        ChexnetError: its probabilities, where it has some, or its heatmap are others.
    """
    right = expected.probabilities
    answered = answer.get("probabilities", right)
    same = answered.keys() == right.keys() and all(
        abs(answered[n] - right[n]) < CLOSE for n in right
    )
    heat = expected.heatmap(finding)
    near = np.allclose(answer["heatmap"], heat, rtol=1e-3, atol=1e-3)
    if answer["finding"] != finding or not same or not near:
        raise ChexnetError(
            f"The demo's answer of {finding} is wrong. No speed is reported of a wrong answer."
        )
