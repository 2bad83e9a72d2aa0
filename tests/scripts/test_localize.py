"""scripts.localize and scripts.leakage as commands."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from chexnet.data.formats import DataRequest
from chexnet.data.loader import batch_loader
from chexnet.data.nih import read_boxes
from chexnet.evaluation.boxes import CONTROLS
from chexnet.evaluation.holdout import open_holdout
from chexnet.explain import explain
from chexnet.inference.onnx_runtime import as_metadata, read_metadata
from chexnet.model import load_weights
from chexnet.transforms import normalise
from tests.conftest import rows_of

pytestmark = pytest.mark.usefixtures("tiny_network")


def test_boxes_are_scored_and_drawn(phantoms, trained, tmp_path, shown):
    weights = trained / "best_chexnet_params.pth"
    options = ("--data", phantoms, "--weights", weights, "--out", tmp_path, "--overlays", 1)
    printed = shown("localize", *options, "--replicates", 50, "--device", "cpu")
    assert "average box" in printed
    assert "2 x 2 cells" in printed
    report = json.loads((tmp_path / "localize-test" / "localization.json").read_text())
    whole = report["boxes"]["all"]["All"]
    assert 0 < whole["targets"] <= len(read_boxes(phantoms))
    assert set(whole["peak_in_box"]) == {"heatmap", *CONTROLS}
    pictures = list((tmp_path / "localize-test" / "overlays").iterdir())
    assert len(pictures) == len(set(report["boxes"]["all"]) - {"All"})
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (384, 384)


def test_a_method_of_the_package_is_scored_by_name(phantoms, trained, tmp_path, shown):
    weights = trained / "best_chexnet_params.pth"
    options = ("--data", phantoms, "--weights", weights, "--out", tmp_path, "--overlays", 0)
    printed = shown("localize", *options, "--method", "HiResCAM", "--replicates", 0)
    assert "Heatmaps: HiResCAM" in printed


def test_data_without_boxes_are_refused(make_folder, trained, refused):
    root = make_folder(rows_of(20, 2))
    weights = trained / "best_chexnet_params.pth"
    assert "BBox_List_2017.csv" in refused("localize", "--data", root, "--weights", weights)


def test_leakage_is_shown_from_the_table_alone(make_folder, tmp_path, shown):
    root = make_folder(rows_of(60, 3), images=[])
    printed = shown("leakage", "--data", root, "--out", tmp_path, "--replicates", 20)
    assert printed.count("\nimage") == printed.count("\npatient") == 2
    splits = json.loads((tmp_path / "leakage.json").read_text())["splits"]
    assert [split["images_with_patient_outside"] for split in splits[2:]] == [0, 0]
    with Image.open(tmp_path / "leakage.png") as picture:
        assert picture.size[0] > 300


def test_store_keeps_how_often_heatmaps_point_right_and_the_mean_map(
    trained, phantoms, tmp_path, shown, refused
):
    weights = tmp_path / "w.pth"
    weights.write_bytes((trained / "best_chexnet_params.pth").read_bytes())
    before, _ = load_weights(weights)
    options = ("--data", phantoms, "--weights", weights, "--out", tmp_path, "--overlays", 0)
    shown("localize", *options, "--replicates", 50, "--device", "cpu", "--store")
    report = json.loads((tmp_path / "localize-test" / "localization.json").read_text())
    after, metadata = load_weights(weights)
    assert all(
        torch.equal(old, new)
        for old, new in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )
    whole = report["boxes"]["all"]["All"]
    trust = metadata.trust["phantoms"]
    assert trust["all"]["peak_in_box"] == whole["peak_in_box"]["heatmap"]
    assert trust["all"]["count"] == whole["targets"]
    assert all(row["count"] >= 5 for row in trust["findings"].values())

    val = open_holdout(DataRequest(phantoms), weights, "val")
    maps = [
        explain(after, normalise(images, metadata.preprocessing)).contributions
        for images, _, _ in batch_loader(val.data_set, [np.arange(len(val.data_set))], 0)
    ]
    expected = torch.cat(maps).mean(dim=0).numpy()
    np.testing.assert_allclose(metadata.mean_contributions, expected, atol=1e-5)
    # What tests/inference/test_onnx.py finds in the exported file as it was given.
    read, _ = read_metadata(as_metadata(metadata, after.classifier.bias.detach().numpy()), weights)
    assert read.trust == metadata.trust
    np.testing.assert_allclose(read.mean_contributions, expected, atol=1e-5)

    message = refused("localize", *options, "--method", "HiResCAM", "--store", "--replicates", 0)
    assert "Nothing was stored" in message


def test_boxes_of_radiologists_are_scored_together_and_beside_their_own_controls(
    phantoms, trained, tmp_path, shown, refused
):
    """RSNA's files for two phantoms of the test part: one with two boxes, one with one."""
    weights = trained / "best_chexnet_params.pth"
    holdout = open_holdout(DataRequest(phantoms), weights, "test")
    table = holdout.datamodule.folder.table.iloc[holdout.datamodule.rows("test")]
    first, second = table.drop_duplicates("patient")["image"].iloc[:2]
    rsna = tmp_path / "rsna"
    rsna.mkdir()
    (rsna / "rsna_to_nih.csv").write_text(f"patientId,Image Index\na,{first}\nb,{second}\n")
    rows = ("a,0,0,512,1024,1", "a,512,0,512,1024,1", "b,0,0,1024,1024,1", "c,,,,,0")
    text = "\n".join(["patientId,x,y,width,height,Target", *rows])
    (rsna / "stage_2_train_labels.csv").write_text(text)
    options = ("--data", phantoms, "--weights", weights, "--out", tmp_path, "--overlays", 1)
    options = (*options, "--replicates", 50, "--device", "cpu", "--boxes", f"rsna={rsna}")
    printed = shown("localize", *options)
    assert "1 more have no known NIH image" in printed
    report = json.loads((tmp_path / "localize-test-rsna" / "localization.json").read_text())
    whole = report["boxes"]["all"]["All"]
    assert (whole["targets"], whole["boxes"], whole["patients"]) == (2, 3, 2)
    # The two boxes together cover the picture, so that a random point always hits.
    assert whole["peak_in_box"]["random point"] == 1
    assert report["boxes_of"] == ["stage_2_train_labels.csv", "rsna_to_nih.csv"]
    assert "without --store" in refused("localize", *options, "--store")
    assert "Found no folder" in refused("localize", *options[:-1], f"rsna={tmp_path / 'no'}")
