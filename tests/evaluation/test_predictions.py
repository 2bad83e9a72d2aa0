import numpy as np
import pandas as pd
import pytest

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.errors import DataError, LeakError
from chexnet.evaluation.metrics import auroc
from chexnet.evaluation.predictions import read_predictions, score_predictions, write_predictions
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.scoring import score_weights
from chexnet.evaluation.summary import summarise
from chexnet.files import plain
from tests.conftest import rows_of

COLUMN = "prob_Mass"


@pytest.fixture
def root(make_folder):
    return make_folder(rows_of(20, 2), images=[])


@pytest.fixture
def table(root):
    return read_folder(root, need_images=False).table


def test_scoring_the_file_equals_scoring_the_model(phantoms, trained, tmp_path):
    scored = score_weights(
        DataRequest(phantoms), trained / "best_chexnet_params.pth", "test", device="cpu", workers=0
    )
    write_predictions(tmp_path / "p.csv", scored.scores)
    read = score_predictions(DataRequest(phantoms), tmp_path / "p.csv", "test").scores
    assert np.array_equal(read.probabilities, scored.scores.probabilities)
    assert read.images == scored.scores.images
    first, second = (plain(summarise(scores, replicates=50)) for scores in (scored.scores, read))
    assert first == second


def test_every_digit_of_a_probability_survives_the_file(table, tmp_path):
    random = np.random.default_rng(0)
    given = random.random((len(table), 1)) ** 9
    scores = Scores(table["image"].tolist(), [], ["Mass"], given, np.zeros(given.shape, np.int8))
    write_predictions(tmp_path / "p.csv", scores)
    assert np.array_equal(read_predictions(tmp_path / "p.csv", table).probabilities, given)


def test_somebody_elses_file_is_scored_with_the_tables_labels(table, tmp_path):
    """Columns in any order, other columns beside, labels left out, and no picture needed."""
    frame = pd.DataFrame(
        {
            "note": "x",
            "prob_No Finding": np.linspace(0, 1, 40),
            COLUMN: np.linspace(1, 0, 40),
            "Image Index": table["image"].iloc[::-1].to_numpy(),
        }
    )
    frame.to_csv(tmp_path / "p.csv", index=False)
    scores = read_predictions(tmp_path / "p.csv", table)
    assert scores.classes == ["No Finding", "Mass"] or scores.classes == ["Mass", "No Finding"]
    truth = table.set_index("image").loc[scores.images, "labels"]
    column = scores.classes.index("Mass")
    assert scores.targets[:, column].tolist() == [int("Mass" in names) for names in truth]
    assert np.isfinite(auroc(scores.probabilities, scores.targets)).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.assign(**{COLUMN: f[COLUMN] * 9 - 3}), "line 2: .*outside 0..1"),
        (lambda f: f.assign(**{COLUMN: f[COLUMN].where(f.index != 3)}), "line 5: .*no number"),
        (lambda f: pd.concat([f, f.iloc[[4]]]), "line 42: 00000003_000.png is a duplicate image"),
        (lambda f: f.replace("00000002_001.png", "x.png"), "line 5: x.png is no image"),
        (lambda f: f.rename(columns={COLUMN: "prob_Cat"}), "expected Image Index and at least"),
        (lambda f: f.assign(prob_Cat=0.5), "a column prob_Cat, which is no label"),
        (lambda f: f.rename(columns={"Image Index": "image"}), "expected Image Index"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_bad_predictions_are_refused_at_the_first_wrong_row(table, tmp_path, change, told):
    frame = pd.DataFrame({"Image Index": table["image"], COLUMN: np.linspace(0, 1, 40)})
    change(frame).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=told):
        read_predictions(tmp_path / "p.csv", table)


def test_images_outside_the_part_are_refused_with_their_count(root, table, tmp_path):
    frame = pd.DataFrame({"Image Index": table["image"], COLUMN: np.linspace(0, 1, 40)})
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(LeakError, match="32 of 40 images"):
        score_predictions(DataRequest(root), tmp_path / "p.csv", "test")
    assert score_predictions(
        DataRequest(root), tmp_path / "p.csv", "test", allow_leak=True
    ).facts.leaky
    whole = score_predictions(DataRequest(root), tmp_path / "p.csv", "all")
    assert "without a split" in " ".join(whole.notes)


def test_a_file_of_part_of_the_part_says_how_much_it_has(root, table, tmp_path):
    from chexnet.data.splits import make_split

    rows = make_split(read_folder(root, need_images=False)).rows["test"][:5]
    frame = pd.DataFrame({"Image Index": table["image"].iloc[rows], COLUMN: 0.5})
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=r"5 of the 8 images of the test part; \S+ is the first"):
        score_predictions(DataRequest(root), tmp_path / "p.csv", "test")
    notes = score_predictions(DataRequest(root), tmp_path / "p.csv", "test", partial=True).notes
    assert any("5 of the 8 images" in note for note in notes)


def test_a_network_is_not_scored_on_what_it_was_trained_on(phantoms, trained, tmp_path):
    """The same pictures under other lists, as a second download might have them."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(phantoms, copy)
    train, test = copy / "train_val_list.txt", copy / "test_list.txt"
    names = train.read_text(), test.read_text()
    train.write_text(names[1])
    test.write_text(names[0])
    weights = trained / "best_chexnet_params.pth"
    with pytest.raises(LeakError, match=r"trained on \d+ of these \d+ images and on \d+"):
        score_weights(DataRequest(copy), weights, "test", device="cpu", workers=0)
    scored = score_weights(
        DataRequest(copy), weights, "test", device="cpu", workers=0, seen="stamp"
    )
    assert scored.facts.leaky
