"""Malformed files through the demo's own routes: each is answered, and nothing of them stays."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from chexnet.files import PICTURE_ENDINGS
from chexnet.inference.predictor import Predictor
from demo import security
from tests.conftest import answers
from tests.demo.conftest import Served, Web, file_data, files, png
from tests.malformed import malformed, originals

SENDERS = 4
"""Visitors who send at once; the demo's network then answers for several together."""
WARM = 250
"""Files before memory is looked at: every decoder is loaded, and every bomb was tried."""
GROWTH = security.KEPT
"""Megabytes that may have come after that: one for each result that the demo keeps."""


def answered(web: Web, file: bytes, ending: str, by_api: bool) -> str:
    """Send one file as gradio_client does or as the page does; `refused` or `result`, looked at."""
    if by_api:
        kind, said = web.ask("predict", file_data(web.upload(file, f"picture{ending}")))
        assert kind in ("complete", "error")
        content = json.loads(said)
        refusal = content["error"] if kind == "error" else ""
        probabilities = {} if refusal else content[-1]["probabilities"]
    else:
        answer = web.post("/api/analyse?anyway=1", content=file)
        assert answer.status_code in (200, 422)
        refusal = answer.text if answer.status_code == 422 else ""
        probabilities = {} if refusal else answer.json()["probability"]
    if refusal:
        # One general sentence would mean an exception that nobody foresaw.
        assert "Something went wrong" not in refusal
        assert refusal.endswith(".")
        for secret in ("Traceback", "Error", "/", "\\", "b'"):
            assert secret not in refusal
        return "refused"
    assert probabilities
    assert all(math.isfinite(p) and 0 <= p <= 1 for p in probabilities.values())
    return "result"


def send(web: Web, given: Iterator[tuple[str, bytes]]) -> Counter:
    """Send all of them, several at once; returns how often each thing came of it."""

    def send_one(numbered: tuple[int, tuple[str, bytes]]) -> str:
        number, (name, file) = numbered
        ending = PICTURE_ENDINGS[number // 2 % len(PICTURE_ENDINGS)]
        try:
            return answered(web, file, ending, bool(number % 2))
        except AssertionError as error:
            raise AssertionError(f"file {number}, made of {name}: {error}") from error

    counts = Counter()
    numbered = enumerate(given)
    with ThreadPoolExecutor(SENDERS) as pool:
        # In parts: a pool takes all it is given at once, and 40,000 files are gigabytes.
        while part := list(islice(numbered, 100)):
            counts.update(pool.map(send_one, part))
    return counts


def survives(served: Served, web: Web, predictor: Predictor, count: int, seed: int) -> Counter:
    """Send `count` malformed files and look at the demo afterwards."""
    given, empty = malformed(count, seed), set(served.folder.iterdir())
    said_before = len(served.log.read_text())  # Gradio complains of other tests' requests
    counts = send(web, islice(given, WARM))
    before = served.resident()
    counts += send(web, given)
    assert served.resident() - before < GROWTH
    assert files(served.folder) == []
    assert set(served.folder.iterdir()) <= empty, "the folder of an upload was left"
    assert "Traceback" not in served.log.read_text()[said_before:]
    # The same process still answers, and rightly.
    kind, said = web.ask("predict", file_data(web.upload(png(3))))
    [right] = answers(predictor, [png(3)])
    assert kind == "complete"
    assert json.loads(said)[-1]["probabilities"] == pytest.approx(right.probabilities, abs=1e-4)
    return counts


def test_500_malformed_files_each_get_a_reason_or_a_result(served, web, predictor):
    counts = survives(served, web, predictor, 500, seed=1)
    assert counts.total() == 500
    assert min(counts["refused"], counts["result"]) > 50


@pytest.mark.slow
def test_40000_malformed_files_each_get_a_reason_or_a_result(served, web, predictor):
    counts = survives(served, web, predictor, 40_000, seed=2)
    print(dict(counts))
    assert counts.total() == 40_000


def test_a_whole_file_of_each_kind_gets_a_result_by_both_ways(web):
    # Otherwise the files above might be refused for what nobody broke.
    given = [file for file in originals().items() for _ in range(2)]
    assert send(web, iter(given)) == {"result": len(given)}
