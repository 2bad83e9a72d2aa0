"""scripts.eval beyond the plain way, which tests/scripts/test_commands.py goes."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from chexnet.config import TrainConfig
from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.splits import make_split
from chexnet.errors import ConfigError
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.info import NOT_CALIBRATED, RECONSTRUCTED, TEST_CHOSEN
from chexnet.evaluation.report.history import COLUMNS, NAME, note_scoring, read_record
from chexnet.evaluation.scoring import score_networks, score_weights
from chexnet.model import build, load_weights, save_weights
from chexnet.phantom.dataset import draw_phantoms
from chexnet.training.loop import fit
from tests.conftest import rows_of
from tests.standins import as_imported, seen_of

pytestmark = pytest.mark.usefixtures("tiny_network", "undrawn")


@pytest.fixture
def weights(trained):
    return trained / "best_chexnet_params.pth"


@pytest.fixture
def other(weights, tmp_path):
    """Another network that was trained on the same images."""
    _, metadata = load_weights(weights)
    save_weights(tmp_path / "other.pth", build(metadata.classes, "none", 5).model, metadata)
    return tmp_path / "other.pth"


def test_several_networks_are_averaged_and_choose_their_thresholds_anew(phantoms, weights, other):
    options = {"device": "cpu", "workers": 0}
    singles = [score_weights(DataRequest(phantoms), w, "test", **options) for w in (weights, other)]
    both = score_networks(DataRequest(phantoms), [weights, other], "test", **options)
    mean = (singles[0].scores.probabilities + singles[1].scores.probabilities) / 2
    np.testing.assert_allclose(both.scores.probabilities, mean, atol=1e-12)
    assert len(both.facts.ensemble) == 2
    assert "validation images, scored in the same way" in both.chosen.source
    assert "when the weights were written" in singles[0].chosen.source


def test_a_mirrored_picture_counts_as_much_as_the_picture(phantoms, weights):
    options = {"device": "cpu", "workers": 0}
    plain = score_weights(DataRequest(phantoms), weights, "test", **options)
    flipped = score_networks(DataRequest(phantoms), [weights], "test", flip=True, **options)
    assert flipped.facts.tta == "flip"
    assert flipped.scores.probabilities.shape == plain.scores.probabilities.shape
    assert not np.allclose(flipped.scores.probabilities, plain.scores.probabilities, atol=1e-6)
    assert flipped.chosen.source != plain.chosen.source


def test_networks_of_other_splits_are_not_averaged(phantoms, weights, tmp_path):
    model, metadata = load_weights(weights)
    metadata.provenance["data"]["split_seed"] = 3
    metadata.provenance["data"]["split"] = "patient"
    metadata.provenance["trained_images"] = metadata.provenance["trained_images"][:1]
    metadata.provenance["trained_patients"] = metadata.provenance["trained_patients"][:0]
    save_weights(tmp_path / "other.pth", model, metadata)
    with pytest.raises(ConfigError, match="other splits"):
        score_networks(
            DataRequest(phantoms),
            [weights, tmp_path / "other.pth"],
            "test",
            device="cpu",
            workers=0,
            seen="stamp",
        )


def test_each_scoring_of_test_images_is_noted_and_of_validation_is_not(
    phantoms, weights, tmp_path, shown
):
    beside = tmp_path / "w.pth"
    beside.write_bytes(weights.read_bytes())
    before = beside.read_bytes()
    options = ("--data", phantoms, "--weights", beside, "--out", tmp_path / "out")
    for part in ("val", "test", "test"):
        printed = shown("eval", *options, "--split", part, "--replicates", 20, "--device", "cpu")
    assert "noted beside these weights: 2" in printed
    assert "Calibration, chosen on" in printed
    record = read_record(tmp_path)
    assert [row["part"] for row in record] == ["test", "test"]
    metrics = json.loads((tmp_path / "out" / "eval-test" / "metrics.json").read_text())
    assert metrics["test_scorings"] == record
    assert {"calibration", "operating_points", "subgroups", "largest_gap"} <= set(metrics)
    assert beside.read_bytes() == before


def test_a_record_that_is_none_is_not_written_over(tmp_path):
    (tmp_path / NAME).write_text("my,notes\n1,2\n")
    with pytest.raises(Exception, match="no record"):
        note_scoring(tmp_path, dict.fromkeys(COLUMNS, "x"))
    assert (tmp_path / NAME).read_text() == "my,notes\n1,2\n"


def test_the_clean_rest_is_scored_and_stamped_wherever_it_is_shown(
    phantoms, weights, tmp_path, refused, shown
):
    """A network from elsewhere that has seen a third of the test part's patients."""
    opened = open_holdout(DataRequest(phantoms), weights, "test").datamodule
    table = opened.folder.table.iloc[opened.rows("test")]
    dirty = table[table["patient"].isin(sorted(set(table["patient"]))[::3])]
    path = as_imported(
        weights, tmp_path / "w.pth", seen_of(dirty, confirmed=False), chosen_on="test list"
    )
    options = ("--data", phantoms, "--weights", path, "--out", tmp_path, "--device", "cpu")
    options = (*options, "--replicates", 0, "--workers", 0)
    assert f"--clean scores the {len(table) - len(dirty)} images" in refused("eval", *options)
    printed = shown("eval", *options, "--clean", "--report")
    count = f"{len(table) - len(dirty)} of {len(table)} images"
    assert count in printed
    metrics = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())
    assert metrics["images"] == len(table) - len(dirty)
    assert metrics["facts"]["clean_of"] == len(table)
    assert metrics["stamps"] == [TEST_CHOSEN, RECONSTRUCTED, NOT_CALIBRATED]
    page = (tmp_path / "eval-test" / "report.html").read_text()
    card = (tmp_path / "eval-test" / "model_card.md").read_text()
    for stamp in metrics["stamps"]:
        assert all(stamp in text for text in (printed, page, card))
    assert count in page
    assert "most probable" not in page
    assert "a score of its own" in card


# --- CSVs alone ------------------------------------------------------------------------------


@pytest.fixture
def folder(make_folder):
    """A table of 600 patients and CSVs of its val and test part; no picture."""
    root = make_folder(rows_of(600, 2, labels=("Mass", "No Finding", "Mass|Edema")), images=[])
    read = read_folder(root, need_images=False)
    random = np.random.default_rng(0)
    for part in ("val", "test"):
        for name, strength in (("a", 2.0), ("b", 0.5)):
            rows = read.table.iloc[make_split(read).rows[part]]
            ill = np.array(["Mass" in labels for labels in rows["labels"]])
            z = strength * ill + random.normal(size=len(rows))
            frame = pd.DataFrame({"Image Index": rows["image"], "prob_Mass": 1 / (1 + np.exp(-z))})
            frame.to_csv(root / f"{part}-{name}.csv", index=False)
    return root


def test_thresholds_come_from_the_validation_file_whatever_the_test_file_says(
    folder, tmp_path, shown
):
    chosen = []
    for name in ("a", "b"):
        out = tmp_path / name
        options = ("--data", folder, "--out", out, "--replicates", 50)
        files = ("--predictions", folder / f"test-{name}.csv")
        shown("eval", *options, *files, "--validation", folder / "val-a.csv")
        metrics = json.loads((out / "eval-test" / "metrics.json").read_text())
        chosen.append({r: p["Mass"]["threshold"] for r, p in metrics["operating_points"].items()})
    assert chosen[0] == chosen[1]
    assert set(chosen[0]) == {"youden", "sensitivity", "specificity", "f1"}


def test_a_given_prevalence_is_said_and_used(folder, tmp_path, refused, shown):
    options = ("--data", folder, "--out", tmp_path, "--predictions", folder / "test-a.csv")
    options = (*options, "--validation", folder / "val-a.csv", "--replicates", 20)
    printed = shown("eval", *options, "--prevalence", "0.02")
    assert "PPV and NPV are for the prevalence given" in printed
    metrics = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())
    assert metrics["operating_points"]["youden"]["Mass"]["ppv"]["value"] < 0.2
    assert "expected a share" in refused("eval", *options, "--prevalence", "Mass=7")


def test_without_a_validation_file_nothing_is_chosen(folder, tmp_path, shown):
    files = ("--predictions", folder / "test-a.csv", "--out", tmp_path)
    printed = shown("eval", "--data", folder, *files, "--replicates", 20)
    assert "Calibration and thresholds: none" in printed
    assert "--validation" in printed
    metrics = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())
    assert metrics["operating_points"] == {}


def test_thresholds_are_not_chosen_on_the_patients_they_are_scored_on(
    folder,
    tmp_path,
    refused,
):
    options = ("--data", folder, "--out", tmp_path, "--predictions", folder / "test-a.csv")
    told = refused("eval", *options, "--validation", folder / "test-b.csv")
    assert "not in the val part" in told
    assert not (tmp_path / "eval-test").exists()


def test_two_files_are_compared(folder, tmp_path, here):
    files = (folder / "test-a.csv", folder / "test-b.csv")
    options = ("--data", folder, "--replicates", 200)
    done = here("compare", *files, *options, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line for line in done.stdout.splitlines() if line.startswith("Mass")]
    assert len(rows) == 1
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    mass = comparison["differences"]["Mass"]
    assert (comparison["a"], comparison["b"]) == ("test-a.csv", "test-b.csv")
    assert mass["difference"] > 0.1
    assert mass["p"] < 0.01
    assert set(mass["interval"]) == {"low", "high", "draws_left_out"}


def test_images_outside_the_part_are_compared_only_when_asked(folder, tmp_path, refused, shown):
    files = (folder / "val-a.csv", folder / "val-b.csv")
    options = ("--data", folder, "--out", tmp_path, "--replicates", 20)
    assert "are not in the test part" in refused("compare", *files, *options)
    assert not (tmp_path / "comparison.json").exists()
    shown("compare", *files, *options, "--split", "val")
    assert "Scored: all." in shown("compare", *files, *options, "--split", "all")
    assert "LEAKY" in shown("compare", *files, *options, "--allow-leak", "--partial")


def test_both_tables_are_reported_with_the_count_of_images_that_differ(folder, tmp_path, shown):
    text = (folder / "Data_Entry_2017.csv").read_text().splitlines()
    changed = [
        line.replace("Mass|Edema", "Edema") if number % 7 == 0 else line
        for number, line in enumerate(text)
    ]
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join(changed))
    files = ("--predictions", folder / "test-a.csv", "--out", tmp_path)
    shown("eval", "--data", folder, *files, "--labels", "BOTH", "--replicates", 20)
    report = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())["labels"]
    names = {line.split(",")[0] for line in pd.read_csv(folder / "test-a.csv")["Image Index"]}
    before, after = ({line.split(",")[0]: line for line in lines[1:]} for lines in (text, changed))
    assert report["images_that_differ"] == sum(before[name] != after[name] for name in names) > 0
    assert (
        report["2017"]["classes"]["Mass"]["positives"]
        > report["v2020"]["classes"]["Mass"]["positives"]
    )


@pytest.mark.slow
def test_data_that_the_network_never_saw_is_scored_whole(weights, tmp_path, shown):
    draw_phantoms(tmp_path / "unseen", patients=6, size=96, seed=11, workers=1)
    options = ("--data", tmp_path / "unseen", "--weights", weights, "--out", tmp_path)
    shown("eval", *options, "--split", "all", "--replicates", 20)
    metrics = json.loads((tmp_path / "eval-all" / "metrics.json").read_text())
    table = read_folder(tmp_path / "unseen").table
    assert metrics["images"] == len(table)


def test_a_network_of_a_fold_is_scored_on_that_fold(tiny_options, tmp_path):
    config = TrainConfig(**tiny_options | {"epochs": 1}, out=tmp_path / "run", folds=3, fold=2)
    weights = fit(config).weights
    holdout = open_holdout(DataRequest(tiny_options["data"]), weights, "val")
    fold = make_split(holdout.datamodule.folder, "official", fold=(2, 3)).rows["val"]
    assert np.array_equal(holdout.datamodule.rows("val"), fold)
    with pytest.raises(ConfigError, match=r"--fold: found 4, expected 1 to 3"):
        TrainConfig(data=tiny_options["data"], folds=3, fold=4)
    with pytest.raises(ConfigError, match=r"--fold: found 2, expected 1 without --folds"):
        TrainConfig(data=tiny_options["data"], fold=2)
    with pytest.raises(ConfigError, match=r"--folds: found 1, expected 2 to 100"):
        TrainConfig(data=tiny_options["data"], folds=1)


# --- radiologists ----------------------------------------------------------------------------


@pytest.fixture
def google(folder):
    """Google's file for the test part of the folder: every second image an opacity."""
    names = pd.read_csv(folder / "test-a.csv")["Image Index"]
    answers = {"Image Index": names, "Airspace opacity": ["YES", "NO"] * (len(names) // 2)}
    answers |= dict.fromkeys(("Fracture", "Pneumothorax"), "NO")
    mass = [n % 3 == 0 for n in range(len(names))]
    frame = pd.DataFrame(answers).assign(**{"Nodule or mass": np.where(mass, "YES", "NO")})
    frame.to_csv(folder / "google.csv", index=False)
    return folder / "google.csv"


def test_predictions_are_scored_against_radiologists_in_every_output(
    folder, google, tmp_path, shown
):
    given = pd.read_csv(folder / "test-a.csv")
    given.assign(prob_Nodule=given["prob_Mass"] / 2).to_csv(folder / "both.csv", index=False)
    out = ("--out", tmp_path, "--replicates", 50, "--report")
    options = ("--data", folder, "--predictions", folder / "both.csv", *out)
    printed = shown("eval", *options, "--experts", f"google={google}")
    assert re.search(r"Google 2020 +Nodule or mass +Nodule or Mass", printed)
    assert "Fracture ~ nothing: n/a" in printed
    report = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())["experts"]["google"]
    rows = {row["asked"]: row for row in report["rows"]}
    truth = pd.read_csv(google)["Nodule or mass"] == "YES"
    assert rows["Nodule or mass"]["experts"]["auroc"] == pytest.approx(
        roc_auc_score(truth, given["prob_Mass"]), abs=1e-9
    )
    assert rows["Pneumothorax"]["experts"] is None
    page = (tmp_path / "eval-test" / "report.html").read_text()
    assert "NIH has no such finding" in page
    assert f"{rows['Nodule or mass']['experts']['auroc']:.3f}" in page


def test_without_predictions_the_text_label_itself_is_scored(folder, google, tmp_path, shown):
    options = ("--data", folder, "--out", tmp_path, "--replicates", 50)
    printed = shown("eval", *options, "--experts", f"google={google}")
    assert "NIH's text label against radiologists" in printed
    assert [path.name for path in (tmp_path / "eval-test").iterdir()] == ["text_labels.json"]
    report = json.loads((tmp_path / "eval-test" / "text_labels.json").read_text())
    rows = {row["asked"]: row for row in report["experts"]["google"]["rows"]}
    table = read_folder(folder, need_images=False).table.set_index("image")["labels"]
    answers = pd.read_csv(google).set_index("Image Index")["Nodule or mass"] == "YES"
    text = table.loc[answers.index].map(lambda labels: "Mass" in labels)
    figure = rows["Nodule or mass"]["text_label_against_experts"]["sensitivity"]["value"]
    assert figure == pytest.approx(text[answers].mean(), abs=1e-9)


def test_wrong_files_of_radiologists_stop_before_anything_is_written(folder, tmp_path, refused):
    out = tmp_path / "out"
    for predictions in ((), ("--predictions", folder / "test-a.csv")):
        options = ("--data", folder, "--out", out, *predictions)
        told = refused("eval", *options, "--experts", f"rsna={folder}")
        assert "stage_2_train_labels.csv" in told
        assert "kaggle.com" in told
        assert told.count("\n") == 1
    assert not out.exists()
