"""Rows of scripts.bench: the demo as its visitors meet it, through gradio_client on loopback.

The demo runs in a process of its own, as `python -m demo` starts it, on the CPU. Every answer is
compared with the network asked without a demo: a row that was fast and wrong is not reported.
"""

import itertools
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.errors import ChexnetError, DataError
from chexnet.inference.predictor import Prediction, Predictor
from chexnet.labels import FINDINGS
from scripts.bench.rows import CostRow, LimitRow, Row, Skipped, in_turn, missing
from scripts.bench.served import NO_FIGURE, ask, leave, served, visitors
from scripts.bench.setting import Setting, kind_of
from scripts.bench.tutorial import Tutorial

MORE = 4
"""One visitor's calls are short: so many times the repeats are made."""
ROUNDS = 3
"""Counted rounds of the crowd at most: 64 pictures, at once and one by one, take half a minute."""
CLOSE = 1e-4
"""A probability may differ by this from the same one computed in another batch (measured: 1e-6)."""
APART = 10 * CLOSE
"""Two pictures' answers have to differ by this, or a mix-up could not be seen."""
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
]
CHOOSE_ALL = """async () => {
  const found = [];
  for (const name of chexnet.page.state.answer.findings) {
    chexnet.page.choose(name);
    await chexnet.page.settled();
    found.push({...chexnet.timings});
  }
  return found;
}"""


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """One visitor's first answer and next heatmap; then many visitors at once."""
    reason = missing("gradio", "gradio_client", "pytorch_grad_cam")
    if reason:
        yield Skipped("the demo", reason)
        return
    paths = list(setting.pictures(setting.clients).values())
    predictor = Predictor(setting.network, "cpu", engine="torch")
    batches = [paths[start : start + 8] for start in range(0, len(paths), 8)]
    expected = [
        one
        for batch in batches
        for one in predictor.predict([predictor.read(path) for path in batch])
    ]
    refuse_alike(expected)
    size = predictor.metadata.preprocessing.size
    with served(setting.network, setting.out / "demo.log") as url:
        clients = visitors(url, len(paths))
        try:
            tutorial = Tutorial(setting.network, size)
            yield from _one(clients[0], paths[0], expected[0], tutorial, setting.repeats)
            yield _crowd(clients, paths, expected, size, min(setting.repeats, ROUNDS))
            yield from _in_browser(url, paths[0], MORE * setting.repeats)
        finally:
            leave(clients)


def _one(
    client: Any, path: Path, expected: Prediction, tutorial: Tutorial, repeats: int
) -> Iterator[Row]:
    """A visitor who uploads a picture and then chooses other findings."""
    findings = [name for name in tutorial.classes if name in FINDINGS]
    ours, other = itertools.cycle(findings), itertools.cycle(findings)
    item = tutorial.open(path)

    def choose() -> None:
        finding = next(ours)
        answer = ask(client, "/heatmap", finding=finding)
        if answer["finding"] != finding or not _same_heat(answer, expected):
            raise ChexnetError(f"The demo's heatmap of {finding} is wrong. {NO_FIGURE}")

    for work, mine, theirs, beside, target in (
        (
            f"demo: upload of a {kind_of([path])}, probabilities and first heatmap",
            lambda: refuse_wrong([_look(client, path)], [expected]),
            lambda: tutorial.look(path),
            "PIL, grad-cam of one class, overlay, in one process: no page, no upload",
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
        seconds = in_turn(mine, theirs, MORE * repeats)
        ours_ms, other_ms = ([1000 * t for t in side] for side in seconds)
        yield Row(work, "ms", ours_ms, other_ms, beside, target)


def _crowd(
    clients: list[Any], paths: list[Path], expected: list[Prediction], size: int, rounds: int
) -> Row:
    """Visitors at once, each with a picture and a session of his own, beside one after another."""

    def at_once() -> None:
        with ThreadPoolExecutor(len(clients)) as pool:
            refuse_wrong(list(pool.map(_look, clients, paths)), expected)

    def one_by_one() -> None:
        refuse_wrong([_look(clients[0], path) for path in paths], expected)

    mine, theirs = in_turn(at_once, one_by_one, rounds)
    return CostRow(
        work=f"demo: {len(clients)} visitors at once, each with a picture of his own, {size} px",
        unit="s",
        ours=mine,
        other=theirs,
        beside="the same pictures by one visitor, one after another",
        target="at most 1.2x",
    )


def _in_browser(url: str, path: Path, repeats: int) -> Iterator[Row | Skipped]:
    """Another finding in headless Chromium, where no request is needed; and an answer's size."""
    work = "viewer in Chromium"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    reason = missing("playwright") or (None if chromium else "found no Chromium")
    if reason:
        yield Skipped(work, reason)
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(url)
        page.set_input_files("#cx-upload input[type=file]", path)
        # Not the example that the page opens on.
        page.wait_for_function("chexnet.page.state.answer && !chexnet.page.state.answer.example")
        if page.is_visible("[data-act=anyway]"):
            page.click("[data-act=anyway]")
        page.wait_for_selector("#cx-findings [data-finding]")
        page.wait_for_timeout(1000)  # the maps of the others are made while nobody asks
        size = page.evaluate("JSON.stringify(chexnet.page.state.answer.preview).length")
        drawn, frames = [], []
        for _ in range(repeats):
            found = page.evaluate(CHOOSE_ALL)
            drawn += [one["draw"] for one in found]
            frames += [one["frame"] for one in found]
        browser.close()
    for name, values, limit in (
        ("drawing another finding", drawn, 6.0),
        ("another finding until its frame is drawn", frames, 16.7),
        ("the same, 95 % of them", [float(np.percentile(frames, 95))], 33.0),
    ):
        yield LimitRow(
            f"{work}: {name}", "ms", values, [], "the limit", f"under {limit:g} ms", limit=limit
        )
    yield LimitRow(
        f"{work}: the picture in one answer, 8 bits",
        "MB",
        [size / 1e6],
        [],
        "the limit",
        "under 0.5 MB",
        limit=0.5,
    )


def _look(client: Any, path: Path) -> dict[str, Any]:
    from gradio_client import handle_file

    return ask(client, "/predict", handle_file(path))


def refuse_wrong(answers: list[dict[str, Any]], expected: list[Prediction]) -> None:
    """Compare the demo's answers with those of the same network without a demo.

    Raises:
        ChexnetError: an answer is not that of its own picture.
    """
    wrong = [
        number
        for number, (answer, one) in enumerate(zip(answers, expected, strict=True), 1)
        if not _same_probabilities(answer, one) or not _same_heat(answer, one)
    ]
    if wrong:
        raise ChexnetError(
            f"Found {len(wrong)} wrong answers of {len(answers)} (of picture "
            f"{', '.join(map(str, wrong[:8]))}), expected each visitor's own. {NO_FIGURE}"
        )


def refuse_alike(expected: list[Prediction]) -> None:
    """Make sure that one visitor's answer in the hands of another would be seen.

    Raises:
        DataError: two pictures have the same answer.
    """
    values = np.array([list(one.probabilities.values()) for one in expected])  # (N, D)
    for first, second in itertools.combinations(range(len(values)), 2):
        if np.abs(values[first] - values[second]).max() < APART:
            raise DataError(
                f"The network gives pictures {first + 1} and {second + 1} the same answer, so a "
                "mix-up could not be seen. Pass a --data folder without doubles, other --weights, "
                "or fewer --clients."
            )


def _same_probabilities(answer: dict[str, Any], expected: Prediction) -> bool:
    found, right = answer["probabilities"], expected.probabilities
    return found.keys() == right.keys() and all(abs(found[n] - right[n]) < CLOSE for n in right)


def _same_heat(answer: dict[str, Any], expected: Prediction) -> bool:
    right = expected.heatmap(answer["finding"])
    return np.allclose(answer["heatmap"], right, rtol=1e-3, atol=1e-3)
