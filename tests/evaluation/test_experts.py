"""Radiologists' labels: read from hand-made and, where they are here, from the real files."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from chexnet.data.formats import DataRequest
from chexnet.errors import DataError
from chexnet.evaluation.clustered import FEW_PATIENTS
from chexnet.evaluation.expert_scores import score_experts, score_text_labels
from chexnet.evaluation.experts import (
    OPACITY,
    read_experts,
    read_google,
    read_rsna,
)
from chexnet.evaluation.report.experts import experts_read, experts_text
from chexnet.evaluation.scores import Scores
from chexnet.files import plain
from chexnet.labels import FINDINGS
from tests.conftest import NIH, SHARED

EXPERTS = SHARED / "experts"
GOOGLE = EXPERTS / "google2019_nih-chest-xray-labels.csv"
AGAINST = "text_label_against_experts"
needs_experts = pytest.mark.skipif(
    not (EXPERTS.is_dir() and NIH.is_dir()),
    reason="the radiologists' files and NIH's table are not beside the project",
)


# --- the real files --------------------------------------------------------------------------


@needs_experts
def test_the_files_hold_what_they_are_known_to_hold(nih):
    rsna = read_rsna(EXPERTS)
    assert (len(rsna.answers), rsna.unmapped) == (26_584, 100)
    in_test = rsna.answers[rsna.answers.index.isin(nih.lists["test"])]
    assert (len(in_test), int(in_test["Target"].sum())) == (7_170, 2_583)
    assert rsna.boxes["image"].isin(nih.lists["test"]).sum() == 4_220
    google = read_google(GOOGLE)
    assert len(google.answers) == 4_376
    assert google.answers.index.isin(nih.lists["test"]).sum() == 1_962


@needs_experts
def test_the_text_label_of_pneumonia_is_right_in_174_of_306():
    given = [f"rsna={EXPERTS}", f"google={GOOGLE}"]
    facts, report = score_text_labels(
        DataRequest(NIH, labels="v2020"), read_experts(given), "test", replicates=20
    )
    assert facts.split == "official"
    row = report["rsna"]["rows"][0]
    assert counts(row) == (7_170, 2_583, 306)
    ppv, sensitivity = (row[AGAINST][name] for name in ("ppv", "sensitivity"))
    assert ppv["value"] == pytest.approx(174 / 306, abs=1e-12)
    assert sensitivity["value"] == pytest.approx(174 / 2_583, abs=1e-12)
    assert ppv["interval"].low < 174 / 306 < ppv["interval"].high
    assert [row["images"] for row in report["google"]["rows"]] == [1_962] * 4
    assert report["google"]["rows"][-1][AGAINST] is None
    text = experts_text(plain(report), 20)
    assert "Fracture ~ nothing: n/a (1,962 images, 72 positive): NIH has no such finding" in text


def counts(row) -> tuple[int, int, int]:
    return row["images"], row["positives"], row["text_label_positives"]


def answers(table: pd.DataFrame, count: int, seed: int = 0) -> Scores:
    """Some network's answers for some images of NIH's table."""
    random = np.random.default_rng(seed)
    rows = table.iloc[np.sort(random.choice(len(table), count, replace=False))]
    truth = np.array([[name in labels for name in FINDINGS] for labels in rows["labels"]])
    given = 1 / (1 + np.exp(2 - truth - random.normal(size=truth.shape)))
    return Scores(
        rows["image"].tolist(),
        rows["patient"].tolist(),
        list(FINDINGS),
        np.round(given, 3),  # with ties
        truth.astype(np.int8),
    )


@needs_experts
def test_scores_against_radiologists_equal_pandas_and_scikit_learn(nih):
    scores = answers(nih.table, 40_000)
    given = pd.DataFrame(scores.probabilities, scores.images, FINDINGS)
    text = pd.DataFrame(scores.targets, scores.images, FINDINGS)
    raw = pd.read_csv(EXPERTS / "stage_2_train_labels.csv")
    mapping = pd.read_csv(EXPERTS / "rsna_to_nih.csv")
    rsna = raw.merge(mapping, on="patientId").groupby("Image Index")["Target"].max()
    google = pd.read_csv(GOOGLE).set_index("Image Index")
    expected = {
        ("rsna", ("Pneumonia",)): rsna,
        ("rsna", OPACITY): rsna,
        ("google", ("Pneumothorax",)): (google["Pneumothorax"] == "YES").astype(int),
        ("google", ("Nodule", "Mass")): (google["Nodule or mass"] == "YES").astype(int),
        ("google", OPACITY): (google["Airspace opacity"] == "YES").astype(int),
    }
    seen = {}
    for experts in read_experts([f"rsna={EXPERTS}", f"google={GOOGLE}"]):
        report = score_experts(experts, nih.table, nih.table_name, scores, replicates=20)
        seen |= {(experts.key, row["findings"]): row for row in report["rows"]}
    assert set(seen) - set(expected) == {("google", ())}
    for (key, findings), truth in expected.items():
        row = seen[key, findings]
        shared = truth.index.intersection(given.index)
        p, y = given.loc[shared, list(findings)].max(axis=1), truth.loc[shared]
        t = text.loc[shared, list(findings)].max(axis=1)
        assert counts(row) == (len(y), y.sum(), t.sum())
        for figures, wanted in ((row["experts"], y), (row["text_label"], t)):
            assert figures["auroc"] == pytest.approx(roc_auc_score(wanted, p), abs=1e-9)
            assert figures["average_precision"] == pytest.approx(
                average_precision_score(wanted, p), abs=1e-9
            )
            assert figures["brier"] == pytest.approx(brier_score_loss(wanted, p), abs=1e-9)
            assert figures["interval"].low < figures["auroc"] < figures["interval"].high
        assert row["difference"]["auroc"] == pytest.approx(
            roc_auc_score(y, p) - roc_auc_score(t, p), abs=1e-9
        )
        assert row[AGAINST]["ppv"]["value"] == pytest.approx(y[t == 1].mean(), abs=1e-9)
        assert row[AGAINST]["npv"]["value"] == pytest.approx(1 - y[t == 0].mean(), abs=1e-9)
        assert row[AGAINST]["specificity"]["value"] == pytest.approx(1 - t[y == 0].mean(), abs=1e-9)


# --- hand-made files -------------------------------------------------------------------------


def rsna_folder(root, mapping="csv", lines=(), pairs=None):
    """40 images of 20 patients of NIH; every second one positive, one of these with two boxes."""
    root.mkdir(exist_ok=True)
    names = [f"{p:08d}_{i:03d}.png" for p in range(1, 21) for i in range(2)]
    rows = ["patientId,x,y,width,height,Target"]
    for number in range(len(names)):
        positive = number % 4 == 0
        rows.append(f"id-{number},{'10,20,300,400' if positive else ',,,'},{int(positive)}")
    rows += ["id-0,600,20.5,100,80,1", "id-nowhere,,,,,0", *lines]
    (root / "stage_2_train_labels.csv").write_text("\n".join(rows))
    pairs = [(f"id-{n}", name) for n, name in enumerate(names)] if pairs is None else pairs
    if mapping == "csv":
        text = "\n".join(["patientId,Image Index,mse", *(f"{a},{b},1.5" for a, b in pairs)])
        (root / "rsna_to_nih.csv").write_text(text)
    elif mapping == "json":
        listed = [{"subset_img_id": a, "img_id": b, "orig_labels": ["Mass"]} for a, b in pairs]
        listed.append({"subset_img_id": "", "img_id": "00000099_000.png"})
        path = root / "pneumonia-challenge-dataset-mappings_2018.json"
        path.write_text(json.dumps(listed))
    return root


def google_file(path, answer="YES"):
    columns = ["Image Index", "Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"]
    rows = [[f"{p:08d}_000.png", "NO", "NO", "YES" if p % 2 else "NO", "NO"] for p in range(1, 21)]
    rows[0][1] = answer
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


@pytest.fixture
def table():
    rows = [
        (f"{p:08d}_{i:03d}.png", str(p), ("Pneumonia",) if p % 2 else ("Mass", "Infiltration"))
        for p in range(1, 21)
        for i in range(2)
    ]
    return pd.DataFrame(rows, columns=["image", "patient", "labels"])


def of_table(table, classes=FINDINGS, seed=0) -> Scores:
    given = np.random.default_rng(seed).random((len(table), len(classes)))
    targets = np.array([[name in labels for name in classes] for labels in table["labels"]])
    return Scores(
        table["image"].tolist(), table["patient"].tolist(), list(classes), given, targets * 1
    )


def test_rsnas_own_mapping_is_read_like_the_one_of_pixels(tmp_path):
    both = [read_rsna(rsna_folder(tmp_path / kind, kind)) for kind in ("csv", "json")]
    pd.testing.assert_frame_equal(both[0].answers, both[1].answers)
    pd.testing.assert_frame_equal(both[0].boxes, both[1].boxes)
    assert [experts.unmapped for experts in both] == [1, 1]
    told = [experts_read(experts.about, len(experts.answers)) for experts in both]
    assert "pneumonia-challenge" in told[1]
    assert "1 more have no known NIH image" in told[0]
    assert both[0].boxes["image"].value_counts()["00000001_000.png"] == 2
    assert both[0].answers["Target"].sum() == 10


def test_a_group_of_findings_is_the_greatest_of_them_and_the_difference_is_paired(table, tmp_path):
    rsna, scores = read_rsna(rsna_folder(tmp_path / "r")), of_table(table)
    # By the table of the fixture every text names one of the three: nothing to compare with.
    everywhere = score_experts(rsna, table, "t.csv", scores, replicates=20)["rows"][1]
    assert everywhere["reason"].startswith("the text label has only 0 patients")
    table["labels"] = [("Infiltration",) if p in "12345678" else ("Edema",) for p in table.patient]
    row = score_experts(rsna, table, "t.csv", scores, replicates=200)["rows"][1]
    columns = [FINDINGS.index(name) for name in OPACITY]
    truth = rsna.answers.loc[scores.images, "Target"]
    best = scores.probabilities[:, columns].max(axis=1)
    assert row["experts"]["auroc"] == pytest.approx(roc_auc_score(truth, best), abs=1e-9)
    assert row["text_label"]["auroc"] == pytest.approx(
        roc_auc_score(table["labels"] == ("Infiltration",), best), abs=1e-9
    )
    assert row["experts"]["positive_patients"] == 10 == FEW_PATIENTS
    assert not row["experts"]["clustered_interval"].known
    assert row["text_label"]["clustered_interval"].known  # 8 patients
    low, high = row["difference"]["interval"].low, row["difference"]["interval"].high
    assert low < row["difference"]["auroc"] < high
    alone = [row[truth]["interval"] for truth in ("experts", "text_label")]
    assert high - low < sum(interval.high - interval.low for interval in alone)


def test_few_positive_patients_have_a_clustered_interval_and_under_five_no_figure(table, tmp_path):
    rsna = read_rsna(rsna_folder(tmp_path / "r"))
    scores = of_table(table)
    fewer = scores.take(np.arange(28))  # 7 of the 10 positive patients
    row = score_experts(rsna, table, "t.csv", fewer, replicates=50)["rows"][0]
    assert row["experts"]["positive_patients"] == 7
    assert (
        row["experts"]["clustered_interval"].low
        < row["experts"]["auroc"]
        < row["experts"]["clustered_interval"].high
    )
    row = score_experts(rsna, table, "t.csv", scores.take(np.arange(12)), replicates=50)["rows"][0]
    assert row["reason"] == "3 positive and 6 negative patients; five of each are needed"
    assert row["experts"] is row[AGAINST] is None
    assert score_experts(rsna, table, "t.csv", fewer, replicates=0)["rows"][0]["experts"]


def test_a_column_that_scores_lack_is_named(table, tmp_path):
    report = score_experts(
        read_rsna(rsna_folder(tmp_path / "r")),
        table,
        "t.csv",
        of_table(table, ["Mass"]),
        replicates=20,
    )
    assert report["rows"][0]["reason"] == "the scores have no column Pneumonia"
    assert report["rows"][0][AGAINST] is not None
    assert "no column Pneumonia" in experts_text(plain({"rsna": report}), 20)


def test_images_that_nobody_asked_for_have_no_text_label_to_score(make_folder, tmp_path):
    root = make_folder([("00000001_001.png", "Mass", "1"), ("00000002_001.png", "Mass", "2")])
    google = read_google(google_file(tmp_path / "g.csv"))
    with pytest.raises(DataError, match="None of the 20 images"):
        score_text_labels(DataRequest(root), [google], "all")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("id-1,,,,,2", "line 44: id-1 has a Target that is neither 0 nor 1"),
        ("id-7,1,1,5,5,0", "line 44: id-7 has a Target of 1 and no box, or a box and no"),
        ("id-7,1000,1,50,5,1", "line 44: id-7 has a box outside the frame"),
        ("id-1,1,1,50,5,1", "line 3: id-1 stands with Target 0 and with Target 1"),
    ],
)
def test_a_wrong_line_of_rsna_is_named(tmp_path, line, told):
    with pytest.raises(DataError, match=told):
        read_rsna(rsna_folder(tmp_path / "r", lines=[line]))


def test_wrong_files_of_radiologists_are_refused_and_say_where_the_right_ones_are(tmp_path):
    folder = rsna_folder(tmp_path / "none", mapping="")
    for call, told in (
        (lambda: read_rsna(tmp_path / "nowhere"), "Found no folder"),
        (lambda: read_rsna(folder), "has neither pneumonia-challenge"),
        (lambda: read_rsna(rsna_folder(tmp_path / "m", pairs=[("a", "b.png")])), "None of the 41"),
        (lambda: read_rsna(rsna_folder(tmp_path / "d", pairs=[("a", "b"), ("a", "c")])), "twice"),
    ):
        with pytest.raises(DataError, match=told) as refusal:
            call()
        assert "kaggle.com/c/rsna" in str(refusal.value)
        assert "\n" not in str(refusal.value)
    (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match="no list of objects with subset_img_id"):
        read_rsna(folder)
    google_file(folder / "stage_2_train_labels.csv")
    with pytest.raises(DataError, match="has no column patientId") as refusal:
        read_rsna(folder)
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match=r"line 2: 00000001_000.png has an answer.*healthcare-api"):
        read_google(google_file(tmp_path / "g.csv", answer="MAYBE"))
    with pytest.raises(DataError, match="expected rsna=FOLDER or google=FILE"):
        read_experts(["mimic=x"])
    with pytest.raises(DataError, match="Found rsna twice"):
        read_experts([f"rsna={rsna_folder(tmp_path / 'q')}"] * 2)
