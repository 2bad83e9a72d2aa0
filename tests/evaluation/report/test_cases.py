import numpy as np

from chexnet.evaluation.boxes import BoxedFinding
from chexnet.evaluation.report.cases import confident_errors, wrong_places
from chexnet.evaluation.scores import Scores


def tiny() -> Scores:
    return Scores(
        images=list("abcdef"),
        patients=list("abcdef"),
        classes=["Mass", "Nodule"],
        probabilities=np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.9], [0.4, 0], [0.2, 0], [0.1, 0]]),
        targets=np.array([[1, 0], [0, 1], [0, 0], [1, 0], [0, 0], [1, 1]], np.int8),
    )


def test_the_most_confident_errors_are_those_furthest_over_the_threshold():
    errors = confident_errors(tiny(), {"Mass": 0.5})
    assert [case["image"] for case in errors["Mass"]["positives"]] == ["b", "c"]
    assert [case["image"] for case in errors["Mass"]["negatives"]] == ["f", "d"]
    assert errors["Mass"]["positives"][0]["labels"] == ["Nodule"]
    assert [case["image"] for case in errors["Nodule"]["positives"]] == ["c", "a", "e", "d"]
    assert errors["Nodule"]["threshold"] is None


def test_a_peak_outside_every_box_is_a_right_answer_in_the_wrong_place():
    scores = tiny()
    left, right = np.zeros((4, 4)), np.zeros((4, 4))
    left[1, 0], right[1, 3] = 1, 1
    box = np.array([[0.0, 0.0, 0.4, 1.0]])
    boxed = [BoxedFinding(name, name, "Mass", box) for name in "abd"]
    places = wrong_places(
        boxed,
        [right, left, right],
        scores,
        {"Mass": 0.5},
        lambda name: np.full((64, 64), 100, np.uint8),
    )
    assert (places["boxed"], places["answered"], places["wrong"]) == (3, 2, 1)
    assert [case["image"] for case in places["cases"]] == ["a"]
    assert places["cases"][0]["picture"].shape == (384, 384, 3)
    assert wrong_places(boxed, [left] * 3, scores, {"Mass": None})["boxed"] == 0
