"""Another data set's table through prepare, train and eval, and a network of NIH's scored on it."""

import json
import shutil

import pandas as pd
import pytest
from PIL import Image

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.evaluation.predictions import score_predictions
from chexnet.evaluation.summary import summarise
from chexnet.model import load_weights
from tests.data.test_formats import text_of

pytestmark = pytest.mark.usefixtures("tiny_network", "undrawn")


SAME = {
    "No Finding": "No Finding",
    "Cardiomegaly": "Cardiomegaly",
    "Edema": "Edema",
    "Consolidation": "Consolidation",
    "Pneumonia": "Pneumonia",
    "Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Effusion": "Pleural Effusion",
}
QUICK = ("--device", "cpu", "--workers", "0")


@pytest.fixture(scope="module")
def chexpert(phantoms, tmp_path_factory):
    """The phantoms as CheXpert would publish them: JPEG files, paths, blanks and uncertain ones."""
    root = tmp_path_factory.mktemp("chexpert") / "CheXpert-v1.0-small"
    folder = read_folder(phantoms)
    rows = []
    for number, row in folder.table[::2].iterrows():
        place = f"train/patient{int(row['patient']) % 100_000:05d}/study{number}/view1_frontal.jpg"
        (root / place).parent.mkdir(parents=True)
        Image.open(folder.paths[row["image"]]).save(root / place, quality=95)
        cells = {SAME[name]: "1.0" for name in row["labels"] if name in SAME}
        if number % 4 == 0:
            cells.setdefault("Edema", "-1.0")
        rows.append(
            {"Path": f"{root.name}/{place}", "Sex": "Female", "Age": "50", "AP/PA": "AP"}
            | {"Frontal/Lateral": "Frontal", **cells}
        )
    rows.append(rows[0] | {"Path": f"{root.name}/side.jpg", "Frontal/Lateral": "Lateral"})
    columns = text_of("chexpert.csv").partition("\n")[0].split(",")
    pd.DataFrame(rows, columns=columns).to_csv(root / "train.csv", index=False)
    return root


@pytest.fixture
def table(chexpert):
    return ("--data", chexpert, "--table", chexpert / "train.csv", "--format", "chexpert")


def test_another_table_is_packed_trained_on_and_scored(table, tmp_path, shown):
    small = ("--size", "64")
    places = ("--packs", tmp_path / "packs")
    packed = shown("prepare", *table, *small, *places)
    assert "images of train.csv are packed" in packed
    assert "--format chexpert --size 64" in packed
    run = ("--init", "none", "--epochs", "1", "--batch-size", "8", "--out", tmp_path / "run")
    trained = shown("train", *table, *small, *places, *run, *QUICK)
    assert "Labels of CheXpert" in trained
    assert "uncertain labels count as unknown" in trained
    weights = tmp_path / "run" / "best_chexnet_params.pth"
    _, metadata = load_weights(weights)
    assert metadata.data.dataset == "chexpert"
    assert "Hernia" not in metadata.classes
    first = float((tmp_path / "run" / "steps.csv").read_text().splitlines()[1].split(",")[2])
    assert 0.3 < first < 1.5  # a mean of cross-entropies, of a network that knows nothing
    out = ("--out", tmp_path / "run", *places, *QUICK, "--replicates", "20")
    scored = shown("eval", *table, "--weights", weights, *out)
    assert "EXTERNAL" not in scored
    assert "Split: patient" in scored
    metrics = json.loads((tmp_path / "run" / "eval-test" / "metrics.json").read_text())
    edema = metrics["classes"]["Edema"]
    assert edema["labelled"] < metrics["images"] == metrics["classes"]["Effusion"]["labelled"]
    predictions = pd.read_csv(tmp_path / "run" / "eval-test" / "predictions.csv")
    assert predictions["label_Edema"].isna().sum() == metrics["images"] - edema["labelled"]
    assert predictions["Image Index"].str.startswith("CheXpert-v1.0-small/train/patient").all()


def test_a_network_of_nihs_is_scored_elsewhere_with_one_command(table, trained, tmp_path, shown):
    weights = shutil.copy(trained / "best_chexnet_params.pth", tmp_path)
    out = ("--out", tmp_path, "--split", "all", "--report", "--replicates", "20", *QUICK)
    scored = shown("eval", *table, "--weights", weights, *out, "--packs", tmp_path)
    assert "EXTERNAL: scored on CheXpert" in scored
    assert "1 of" in scored
    assert "no frontal views" in scored
    metrics = json.loads((tmp_path / "eval-all" / "metrics.json").read_text())
    assert metrics["classes"]["Hernia"] | {"interval": 0} == metrics["classes"]["Hernia"] | {
        "labelled": 0,
        "auroc": None,
        "positives": 0,
        "interval": 0,
    }
    assert metrics["chosen_on"].endswith("when the weights were written")
    assert metrics["facts"]["label_mapping"]["title"] == "CheXpert"
    assert not metrics["stamp"]
    page = (tmp_path / "eval-all" / "report.html").read_text()
    assert "<h1>External: CheXpert." in page
    assert "stands for neither alone" in page
    assert "ChestX-ray14 were mined" not in page
    tables = tmp_path / "eval-all" / "tables"
    mapping = pd.read_csv(tables / "mapping.csv").set_index("label")
    assert mapping.loc["Pleural Effusion", "counts_as"] == "Effusion"
    labelled = pd.read_csv(tables / "findings.csv").set_index("finding")["labelled"]
    assert labelled["Hernia"] == 0 < labelled["Edema"] < labelled["Effusion"]
    card = (tmp_path / "eval-all" / "model_card.md").read_text()
    assert "External: scored on CheXpert" in card
    predictions = tmp_path / "eval-all" / "predictions.csv"
    again = score_predictions(DataRequest(table[1], table[3], table[5]), predictions, "all")
    assert summarise(again.scores).findings.value == metrics["mean_auroc"]["findings"]["value"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--format", "chexprt"), "--format: found 'chexprt'"),
        (("--format", "vinbigdata"), "has no column image_id"),
        (("--table", "nowhere.csv"), "Found no file nowhere.csv"),
    ],
)
def test_a_wrong_table_is_one_line_and_nothing_is_written(
    table, changed, message, tmp_path, refused
):
    out = ("--out", tmp_path / "run", "--packs", tmp_path / "packs", "--size", "64")
    for command in ("train", "prepare"):
        said = refused(command, *table, *changed, *(out if command == "train" else out[2:]))
        assert message in said
        assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_options_of_nihs_tables_do_not_go_with_another(table, here):
    done = here("eval", *table, "--predictions", "p.csv", "--labels", "both")
    assert done.returncode == 2
    assert "of NIH's own tables" in done.stderr
