"""Which images a network may be scored on: the guard, the clean rest, networks from elsewhere."""

import numpy as np
import pytest
from PIL import Image

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.splits import name_hashes, unseen
from chexnet.errors import LeakError
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.info import (
    NOT_CALIBRATED,
    RECONSTRUCTED,
    STAMPS,
    TEST_CHOSEN,
    UNKNOWN_LIST,
    WeightsInfo,
)
from chexnet.evaluation.report.sentences import facts_text, limits
from chexnet.evaluation.scoring import score_networks
from chexnet.files import plain
from chexnet.metadata import Metadata
from chexnet.networks.training_lists import seen_by
from chexnet.transforms import Preprocessing
from tests.conftest import rows_of
from tests.data.test_formats import text_of
from tests.standins import as_imported, rows_seen, seen_of

QUICK = {"device": "cpu", "workers": 0}


@pytest.fixture
def weights(trained):
    return trained / "best_chexnet_params.pth"


def test_neither_seen_images_nor_other_images_of_their_patients_are_clean(make_folder):
    table = read_folder(make_folder(rows_of(6, 3))).table
    first = name_hashes(table["image"][:1]), name_hashes(table["patient"][3:4])
    rows = [17, 0, 3, 5, 1]  # the seen image, two of a seen patient, two others; in any order
    assert unseen(table, rows, *first).tolist() == [17, 1]
    everything = name_hashes(table["image"]), name_hashes(table["patient"])
    assert unseen(table, rows, *everything).tolist() == []


def test_a_network_from_elsewhere_is_scored_on_the_official_lists(phantoms, weights, tmp_path):
    seen = rows_seen(phantoms, "train", "val")
    holdout = open_holdout(
        DataRequest(phantoms), as_imported(weights, tmp_path / "w.pth", seen), "test"
    )
    own = open_holdout(DataRequest(phantoms), weights, "test")
    assert holdout.facts.split == "official"
    assert np.array_equal(holdout.datamodule.rows("test"), own.datamodule.rows("test"))
    assert not holdout.facts.leaky
    assert "trained on: somebody's list, confirmed" in facts_text(holdout.facts)
    assert "epoch" not in plain(holdout.facts)["weights"]


def test_without_lists_it_is_scored_on_a_split_by_patient(make_folder, weights, tmp_path):
    root = make_folder(rows_of(30, 2))
    path = as_imported(weights, tmp_path / "w.pth", seen_by("torchxrayvision-nih"))
    holdout = open_holdout(DataRequest(root), path, "test", seen="skip")
    assert holdout.facts.split == "patient"
    assert "torchxrayvision's NIH list, unconfirmed" in facts_text(holdout.facts)
    assert holdout.facts.stamps(calibrated=False) == [RECONSTRUCTED, NOT_CALIBRATED]


@pytest.fixture
def contaminated(phantoms, weights, tmp_path):
    """A network that has seen half of the patients of the official test part, and their number."""
    opened = open_holdout(DataRequest(phantoms), weights, "test").datamodule
    table = opened.folder.table.iloc[opened.rows("test")]
    patients = sorted(set(table["patient"]))[::2]
    dirty = table[table["patient"].isin(patients)]
    half = as_imported(weights, tmp_path / "half.pth", seen_of(dirty), chosen_on="test list")
    return half, len(table), len(dirty)


def test_the_guard_refuses_and_offers_the_clean_rest(phantoms, contaminated):
    path, whole, dirty = contaminated
    with pytest.raises(LeakError) as told:
        open_holdout(DataRequest(phantoms), path, "test")
    assert f"trained on {dirty:,} of these {whole:,} images" in str(told.value)
    assert f"--clean scores the {whole - dirty:,} images" in str(told.value)
    assert "somebody's list, confirmed. Somebody made it." in str(told.value)


@pytest.mark.parametrize("part", ["test", "all"])
def test_the_clean_rest_is_what_neither_image_nor_patient_was_seen_of(phantoms, contaminated, part):
    path, whole, dirty = contaminated
    holdout = open_holdout(DataRequest(phantoms), path, part, seen="skip")
    folder = holdout.datamodule.folder
    total = whole if part == "test" else len(folder.paths)
    assert len(holdout.data_set.images) == total - dirty
    assert not holdout.facts.leaky
    assert holdout.facts.clean_of == total
    text = facts_text(holdout.facts)
    assert f"{total - dirty:,} of {total:,} images, of which neither" in text


def test_where_nothing_is_clean_it_says_so_and_why(phantoms, weights, tmp_path):
    everything = rows_seen(phantoms, "train", "val", "test", confirmed=False, whole=True)
    path = as_imported(weights, tmp_path / "w.pth", everything)
    with pytest.raises(LeakError, match=r"is clean: .* somebody's list, unconfirmed"):
        open_holdout(DataRequest(phantoms), path, "test", seen="skip")
    with pytest.raises(LeakError) as told:
        open_holdout(DataRequest(phantoms), path, "test")
    assert "--clean" not in str(told.value)


def test_an_unknown_list_says_that_rsna_and_siim_count_as_seen_too(make_folder, weights, tmp_path):
    path = as_imported(weights, tmp_path / "w.pth", seen_by("unknown"))
    with pytest.raises(LeakError, match=r"RSNA .* and SIIM.* count as seen too"):
        open_holdout(DataRequest(make_folder(rows_of(9, 1))), path, "test")


@pytest.fixture
def scored_on(tmp_path, weights):
    """Open another data set's table for a network that saw NIH's official train_val list."""

    def make(text, format, pictures, path=None, mapping=None, **options):
        path = path or as_imported(weights, tmp_path / "w.pth", seen_by("official-train-val"))
        (tmp_path / "table.csv").write_text(text)
        (tmp_path / "rsna_to_nih.csv").write_text(text_of("rsna_to_nih.csv"))
        for name in pictures:
            Image.fromarray(np.eye(64, dtype=np.uint8)).save(tmp_path / name)
        request = DataRequest(tmp_path, tmp_path / "table.csv", format, mapping)
        return open_holdout(request, path, "all", **options)

    return make


def test_rsnas_pictures_are_known_as_nihs_by_name(scored_on):
    """The patients of r01 and r04 stand in the official test list, that of r03 does not."""
    with pytest.raises(LeakError, match="trained on 1 of these 3 images and on 1 of their patien"):
        scored_on(text_of("rsna.csv"), "rsna", ["r01.png", "r03.png", "r04.png"])
    holdout = scored_on(text_of("rsna.csv"), "rsna", [], seen="skip")
    assert holdout.data_set.images == ["00000013_026.png", "00030805_000.png"]
    assert not holdout.facts.external
    assert np.isnan(holdout.data_set.targets).sum() == 2 * (len(holdout.data_set.classes) - 1)


def test_siims_pictures_are_nihs_as_a_whole(scored_on, weights, tmp_path):
    message = "trained on images of NIH, and so are those of SIIM, under names that nobody"
    mapping = tmp_path / "siim.toml"
    mapping.write_text('name = "SIIM"\nimage = "id"\n[labels]\nair = "Pneumothorax"\n')
    siim = {"text": "id,air\n1.2.3.1,0\n1.2.3.2,1\n", "format": "csv", "mapping": mapping}
    for options in ({}, {"seen": "skip"}):
        with pytest.raises(LeakError, match=message):
            scored_on(**siim, pictures=["1.2.3.1.png"], **options)
    assert scored_on(**siim, pictures=[], seen="stamp").facts.leaky
    of_phantoms = scored_on(**siim, pictures=[], path=weights)
    assert not of_phantoms.facts.leaky


def test_a_network_of_an_unknown_list_is_nowhere_external(scored_on, weights, tmp_path):
    path = as_imported(weights, tmp_path / "u.pth", seen_by("unknown"))
    holdout = scored_on(text_of("vinbigdata.csv"), "vinbigdata", ["a1.png"], path=path)
    assert not holdout.facts.external
    assert "it may have seen those of VinBigData" in " ".join(holdout.datamodule.notes)
    known = scored_on(text_of("vinbigdata.csv"), "vinbigdata", [])
    assert known.facts.external


def test_a_network_of_ours_has_a_clean_rest_as_well(phantoms, weights):
    whole = open_holdout(DataRequest(phantoms), weights, "all", seen="skip")
    parts = [
        open_holdout(DataRequest(phantoms), weights, part).data_set.images
        for part in ("val", "test")
    ]
    assert sorted(whole.data_set.images) == sorted(name for part in parts for name in part)
    assert whole.facts.stamps(calibrated=False) == []


def test_each_stamp_stands_for_something_that_the_file_says():
    def stamps(seen, **provenance):
        return WeightsInfo.of("w", Metadata({}, Preprocessing(), provenance, seen=seen)).stamps

    assert stamps(seen_by("official-train-val"), chosen_on="test list") == (TEST_CHOSEN,)
    assert stamps(seen_by("lists-2017"), chosen_on="not stated") == ()
    assert stamps(seen_by("torchxrayvision-nih")) == (RECONSTRUCTED,)
    assert stamps(seen_by("torchxrayvision-all")) == (UNKNOWN_LIST,)
    assert stamps(None) == (UNKNOWN_LIST,)
    assert all(meaning.endswith(".") for meaning in STAMPS.values())


def test_one_network_without_calibration_stays_so_and_several_say_why(
    phantoms, weights, contaminated, tmp_path
):
    """Its validation part is no place to choose anything when it has seen it."""
    seen = rows_seen(phantoms, "train", "val")
    path = as_imported(weights, tmp_path / "seen.pth", seen)
    alone = score_networks(DataRequest(phantoms), [path], "test", **QUICK)
    assert alone.chosen is None
    assert alone.stamps == [NOT_CALIBRATED]
    both = score_networks(DataRequest(phantoms), [path, weights], "test", **QUICK)
    assert both.chosen is None
    assert "have seen the validation part" in both.notes[-1]


def test_limits_name_the_clean_rest(phantoms, contaminated):
    from chexnet.evaluation.assessment import assess

    path, whole, dirty = contaminated
    scored = score_networks(DataRequest(phantoms), [path], "test", seen="skip", **QUICK)
    assessment = assess(scored.scores, scored.table, scored.chosen, replicates=0)
    said = " ".join(limits(assessment.content, scored.facts))
    assert f"{whole - dirty:,} of {whole:,} images of the test part" in said
    assert scored.stamps == [TEST_CHOSEN, NOT_CALIBRATED]
