"""The bench's demo rows: nothing is said of wrong answers."""

from pathlib import Path

import numpy as np
import pytest
from gradio_client.exceptions import AppError
from httpx import ReadTimeout

from chexnet.errors import ChexnetError, DataError
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from dev.bench import demo as demo_rows
from dev.bench.tutorial import Tutorial
from tests.conftest import answers
from tests.dev.test_bench import CLIENTS, tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def asked(phantoms, tmp_path_factory):
    """Expected answers of three pictures, and the same as a demo sends them."""
    setting = tiny(phantoms, tmp_path_factory.mktemp("network"))
    paths = list(setting.pictures(CLIENTS).values())
    expected = answers(Predictor(setting.network, "cpu", engine="torch"), paths)

    def sent(prediction, finding: str) -> dict:
        return {
            "probabilities": dict(prediction.probabilities),
            "finding": finding,
            "heatmap": prediction.heatmap(finding).tolist(),
        }

    return setting, paths, expected, [sent(one, FINDINGS[0]) for one in expected]


def test_right_answers_are_let_through(asked):
    _, _, expected, answers = asked
    demo_rows.refuse_alike(expected)
    demo_rows.refuse_wrong(answers, expected)


def test_two_visitors_with_each_others_answers_are_noticed(asked):
    _, _, expected, (first, second, third) = asked
    with pytest.raises(ChexnetError, match=r"2 wrong answers of 3 \(of picture 1, 2\)"):
        demo_rows.refuse_wrong([second, first, third], expected)


def test_a_heatmap_of_another_finding_is_noticed(asked):
    _, _, expected, (first, *others) = asked
    other = expected[0].heatmap(FINDINGS[1]).tolist()
    with pytest.raises(ChexnetError, match=r"1 wrong answers of 3 \(of picture 1\)"):
        demo_rows.refuse_wrong([first | {"heatmap": other}, *others], expected)


class MixedUp:
    """A client of a demo that gives one of its visitors what belongs to another."""

    def __init__(self, paths: list[Path], answers: list[dict], wrong: str = "") -> None:
        self.answers = dict(zip(map(str, paths), answers, strict=True))
        self.other, self.wrong = answers[-1], wrong

    def predict(self, file: dict | None = None, finding: str = "", *, api_name: str) -> dict:
        first = next(iter(self.answers))
        asked = self.answers[file["path"] if file else first]
        asked = asked | ({"finding": finding} if finding else {})
        return self.other | {"finding": asked["finding"]} if api_name == self.wrong else asked


def test_no_row_comes_of_a_demo_that_mixes_visitors_up(asked):
    setting, paths, expected, answers = asked
    right, wrong = MixedUp(paths, answers), MixedUp(paths, answers, "/predict")
    row = demo_rows._crowd([right] * CLIENTS, paths, expected, 64, 2)
    assert len(row.ours) == len(row.other) == 2
    with pytest.raises(ChexnetError, match=r"2 wrong answers of 3 .*No speed is reported"):
        demo_rows._crowd([wrong] * CLIENTS, paths, expected, 64, 2)
    # At once only: what one visitor alone is told is right.
    with pytest.raises(ChexnetError, match=r"1 wrong answers of 3 \(of picture 2\)"):
        demo_rows._crowd([right, wrong, right], paths, expected, 64, 2)
    tutorial = Tutorial(setting.network, setting.size)
    with pytest.raises(ChexnetError, match="1 wrong answers of 1"):
        next(demo_rows._one(wrong, paths[0], expected[0], tutorial, 1))
    wrong = MixedUp(paths, answers, "/heatmap")
    measured = demo_rows._one(wrong, paths[0], expected[0], tutorial, 1)
    assert "upload of a" in next(measured).work
    with pytest.raises(ChexnetError, match="heatmap of Atelectasis is wrong"):
        next(measured)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ReadTimeout("timed out"), "got no answer of /predict: timed out.*fewer --clients"),
        (AppError("The class is full"), "refused /predict: The class is full"),
    ],
)
def test_a_visitor_without_an_answer_is_one_message_and_no_row(asked, error, told):
    class Unanswered:
        def predict(self, *given: object, **named: object) -> None:
            raise error

    _, paths, expected, _ = asked
    with pytest.raises(ChexnetError, match=told):
        demo_rows._crowd([Unanswered()] * CLIENTS, paths, expected, 64, 1)


def test_pictures_that_cannot_be_told_apart_are_refused_before_anything_is_measured(asked):
    _, _, (first, second, _), _ = asked
    with pytest.raises(DataError, match="pictures 1 and 3 the same answer"):
        demo_rows.refuse_alike([first, second, first])


def test_both_sides_answer_alike(asked):
    """The pipeline beside ours does the same work: its probabilities are ours."""
    setting, paths, expected, _ = asked
    probabilities, shown = Tutorial(setting.network, setting.size).look(paths[0])
    np.testing.assert_allclose(probabilities, list(expected[0].probabilities.values()), atol=1e-4)
    assert shown.shape == (64, 64, 3)
