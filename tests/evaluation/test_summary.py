import numpy as np

from chexnet.evaluation.report.terminal import evaluation_text, validation_text
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise
from chexnet.files import plain


def scores() -> Scores:
    random = np.random.default_rng(0)
    classes = ["Mass", "Atelectasis", "Hernia", "No Finding"]
    targets = (random.random((120, 4)) < 0.3).astype(np.int8)
    targets[:, 2] = 0
    given = np.clip(random.random((120, 4)) * 0.8 + 0.2 * targets, 0, 1)
    return Scores(
        [f"{i}" for i in range(120)], [f"{i // 3}" for i in range(120)], classes, given, targets
    )


def test_the_validation_text_has_the_agreed_form():
    summary = summarise(scores())
    lines = validation_text(summary).splitlines()
    assert lines[0] == "Validation AUROC per class:"
    assert lines[1] == f"Atelectasis           : {summary.auroc[1]:.4f}"
    assert lines[2] == "Hernia                : n/a"
    assert [line.split(":")[0].strip() for line in lines[1:5]] == sorted(summary.classes)
    assert lines[5].startswith(f"Mean AUROC: {summary.all_classes.value:.4f}")
    assert lines[6] == f"Val Loss  : {summary.loss:.4f}"
    assert lines[7].startswith(f"Mean AUROC of the 3 findings: {summary.findings.value:.4f}")


def test_the_mean_that_chooses_leaves_no_finding_out():
    summary = summarise(scores())
    assert summary.findings.value == np.mean(summary.auroc[[0, 1]])
    assert summary.all_classes.value == np.mean(summary.auroc[[0, 1, 3]])


def test_the_evaluation_table_shows_counts_intervals_and_both_means():
    text = evaluation_text(plain(summarise(scores(), replicates=100)), 100, "LEAKY")
    assert text.splitlines()[0] == "LEAKY figures"
    hernia = next(line for line in text.splitlines() if line.startswith("Hernia"))
    assert hernia.split() == ["Hernia", "0", "n/a", "n/a", "n/a"]
    mean = next(line for line in text.splitlines() if line.startswith("Mean of the findings"))
    assert mean.split()[4:7] == ["2", "of", "3"]
    assert "Mean of all rows" in text
    assert "120 images of 40 patients" in text
    assert "100 bootstrap draws" in text


def test_figures_for_json_have_no_nan():
    import json

    figures = plain(summarise(scores(), replicates=20))
    json.dumps(figures, allow_nan=False)
    assert figures["classes"]["Hernia"]["auroc"] is None
    assert figures["classes"]["Mass"]["interval"]["low"] < figures["classes"]["Mass"]["auroc"]
