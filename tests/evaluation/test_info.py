import json

from chexnet.data.formats import DataRequest
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.info import ScoringInfo, WeightsInfo
from chexnet.evaluation.predictions import score_predictions
from chexnet.evaluation.report.sentences import facts_text
from chexnet.files import plain
from tests.conftest import rows_of

DATA_KEYS = (
    "table label_version split split_seed fold leaky phantoms images_in_table images_present "
    "images_unreadable fingerprints images drawn"
).split()


def test_the_facts_of_a_network_have_the_keys_of_files_that_exist_already(phantoms, trained):
    holdout = open_holdout(DataRequest(phantoms), trained / "best_chexnet_params.pth", "test")
    facts = json.loads(json.dumps(plain(holdout.facts)))
    assert list(facts) == [*DATA_KEYS, "part", "weights"]
    assert facts["fold"] is None
    assert list(facts["weights"]) == (
        "file trained_on train_fingerprint epoch origin date code".split()
    )
    assert facts["weights"]["file"] == "best_chexnet_params.pth"
    assert facts["images"] == {
        part: len(holdout.datamodule.rows(part)) for part in ("train", "val", "test")
    }
    assert holdout.facts.fingerprint == facts["fingerprints"]["test"]


def test_the_facts_of_a_file_of_predictions_have_the_keys_of_files_that_exist_already(
    make_folder, tmp_path
):
    root = make_folder(rows_of(40, 2), images=[])
    (tmp_path / "p.csv").write_text("Image Index,prob_Mass\n" + rows_of(40, 2)[0][0] + ",0.5\n")
    whole = plain(score_predictions(DataRequest(root), tmp_path / "p.csv", "all").facts)
    assert whole == {
        "table": "Data_Entry_2017.csv",
        "label_version": whole["label_version"],
        "split": "none",
        "leaky": False,
        "part": "all",
        "predictions": "p.csv",
    }
    scored = score_predictions(
        DataRequest(root), tmp_path / "p.csv", "test", allow_leak=True, partial=True
    )
    part = plain(scored.facts)
    assert set(part) == set(whole) | {"split_seed", "images_of_part", "images_in_part"}
    assert part["images_of_part"] <= 1 < part["images_in_part"]


def test_facts_of_data_are_read_as_an_object_or_as_plain_values(phantoms, trained):
    holdout = open_holdout(DataRequest(phantoms), trained / "best_chexnet_params.pth", "test")
    facts = ScoringInfo.of_data(holdout.datamodule.facts)
    assert facts_text(facts) == facts_text(holdout.datamodule.facts)
    assert "Scored" not in facts_text(facts)
    assert "Scored: test." in facts_text(holdout.facts)
    again = ScoringInfo.of_data(facts, part="val", weights=holdout.facts.weights)
    assert isinstance(again.weights, WeightsInfo)
    assert (again.table, again.part) == (facts.table, "val")
