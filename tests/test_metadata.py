"""What a weights file says of its data."""

import json

from chexnet.checkpoint import load_sealed
from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest
from chexnet.metadata import DataInfo, Metadata
from chexnet.transforms import Preprocessing
from tests.conftest import ROOT

KEYS = [
    *("table", "label_version", "split", "split_seed", "fold", "leaky", "phantoms"),
    *("images_in_table", "images_present", "images_unreadable"),
    *("fingerprints", "images", "drawn"),
]


def test_facts_are_json_under_the_keys_that_files_have(phantoms):
    facts = open_datamodule(
        DataRequest(phantoms, split="patient", fold=(1, 3)), Preprocessing(size=64)
    ).facts
    plain = facts.as_dict()
    assert list(plain) == KEYS
    assert plain["fold"] == [1, 3]
    assert json.loads(json.dumps(plain)) == plain
    assert DataInfo.from_dict(plain) == facts


def test_the_starter_weights_facts_are_read_and_written_again_unchanged():
    stored = load_sealed(ROOT / "weights" / "starter.pth")["provenance"]["data"]
    assert DataInfo.from_dict(stored).as_dict() == stored


def test_facts_of_a_file_from_before_some_were_kept_are_read():
    old = {"table": "Data_Entry_2017.csv", "split": "patient", "phantoms": True, "unknown": 1}
    facts = DataInfo.from_dict(old)
    assert (facts.table, facts.split, facts.fold, facts.drawn) == (
        old["table"],
        "patient",
        None,
        {},
    )
    metadata = Metadata({}, Preprocessing(), {"data": old})
    assert metadata.trained_on == "phantoms"
    assert metadata.trained_hashes is None
