"""Which weights the demo opens when nobody says."""

import os
from pathlib import Path

import pytest

from chexnet.errors import CheckpointError
from chexnet.inference import predictor as command
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing
from demo import rendering


def test_the_newest_run_is_opened(tmp_path):
    for age, name in ((30, "old"), (10, "deep/new"), (20, "middle")):
        path = tmp_path / "runs" / name / command.BEST
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    assert command.default_weights(tmp_path) == tmp_path / "runs/deep/new" / command.BEST


def test_without_a_run_the_starter_weights_are_opened(tmp_path):
    path = command.default_weights(tmp_path)
    assert path.name == "starter.pth"
    assert path.is_file()


def test_missing_starter_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "STARTER", tmp_path / "starter.pth")
    with pytest.raises(CheckpointError, match=r"starter\.pth"):
        command.default_weights(tmp_path)


def card_of(drawn: int, images: int, **validation) -> Metadata:
    data = {"drawn": {"train": drawn}, "images": {"train": images}}
    return Metadata({}, Preprocessing(), {"data": data}, validation)


def test_the_banner_tells_of_phantoms_and_of_better_weights():
    assert "phantoms, not on patients" in rendering.header("starter.pth", card_of(5, 5))
    assert "--weights" in rendering.header("starter.pth", card_of(5, 5))
    assert "phantoms" not in rendering.header("best.pth", card_of(0, 5))
    assert "phantoms" not in rendering.header("best.pth", Metadata({}, Preprocessing()))
    before = Metadata(
        {}, Preprocessing(), {"data": {"phantoms": True}}
    )  # when they were not counted
    assert "phantoms, not on patients" in rendering.header("old.pth", before)


def test_the_banner_says_what_a_real_radiograph_may_expect():
    def auc(auroc: float, p: float | None) -> dict:
        # Every interval of its own lies above 0.5: the corrected p-value alone decides.
        return {"auroc": auroc, "interval": {"low": 0.51, "high": 0.95}, "p_of_chance_holm": p}

    classes = {"Mass": auc(0.7, 0.04), "Edema": auc(0.8, 0.001), "Hernia": auc(0.9, None)}
    classes |= {"Nodule": auc(0.55, 0.06), "No Finding": auc(0.8, None), "Fibrosis": auc(0.3, 0.01)}
    mean = {"findings": {"value": 0.7312}}
    figures = {"images": 108, "classes": classes, "mean_auroc": mean}
    text = rendering.header("s.pth", card_of(1234, 2645, reported={"radiographs": figures}))
    assert "drawn phantoms and 1,411 real radiographs" in text
    text = " ".join(text.split())
    assert "On 108 real radiographs that it never saw, its mean AUROC was 0.73" in text
    assert "for 4 findings at once (Holm; p by clustered variance): Edema, Mass. Not shown" in text
    assert "Not shown for: Fibrosis, Nodule. Under five patients" in text
    assert "so not tested: Hernia. Nothing was chosen" in text
    for figure in classes.values():  # a file of before there was such a test names nothing
        del figure["p_of_chance_holm"]
    before = rendering.header("s.pth", card_of(1234, 2645, reported={"radiographs": figures}))
    assert "0.5 is guessing" in before
    assert "Edema" not in before
    assert "was not measured" in rendering.header("s.pth", card_of(1234, 2645))


@pytest.mark.usefixtures("tiny_network")
def test_beside_the_starter_weights_stands_what_opens_a_published_network(trained, tmp_path):
    line = "With a network connection: <code>make venv demo WEIGHTS=medmae-mae</code>"
    copied = tmp_path / "starter.pth"
    copied.write_bytes((trained / command.BEST).read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "STARTER", copied)
        starter = command.Predictor(copied, "cpu", "torch")
        other = command.Predictor(trained / command.BEST, "cpu", "torch")
    assert starter.is_starter
    assert not other.is_starter
    assert line in rendering.model_tab(starter)
    assert "medmae" not in rendering.model_tab(other)


def test_the_demo_takes_a_name_and_says_how_far_it_is(monkeypatch, capsys, tmp_path):
    from chexnet.networks import fetch
    from demo import __main__ as demo

    def fetched(text, *, on_progress):
        for done in (0, 1, 50, 51, 100):
            on_progress("fetching", done, 100)
        on_progress("importing", 0, None)
        return tmp_path / text

    monkeypatch.setattr(fetch, "weights_path", fetched)
    assert demo._named(Path("medmae-mae")) == tmp_path / "medmae-mae"
    assert capsys.readouterr().err.splitlines() == [
        "medmae-mae fetching",
        "medmae-mae fetching 50 %",
        "medmae-mae fetching 100 %",
        "medmae-mae importing",
    ]
    monkeypatch.undo()  # what is no name is a file, and nothing is fetched
    for path in (Path("runs/x"), Path("w.pth"), tmp_path / "medmae-mae"):
        assert demo._named(path) == path
