import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from chexnet.checkpoint import load_sealed
from chexnet.config import TrainConfig
from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.errors import CheckpointError, ChexnetError, DataError, LeakError
from chexnet.evaluation.scoring import score_weights
from chexnet.evaluation.summary import summarise
from chexnet.model import load_weights, save_weights
from chexnet.training.loop import fit
from chexnet.training.step import performance_warning
from tests import jobs
from tests.processes import start, wait_for
from tests.runs import Recorder, rows, tensors


def test_a_run_leaves_weights_checkpoint_and_log(trained, phantoms):
    _, metadata = load_weights(trained / "best_chexnet_params.pth")
    data = metadata.provenance["data"]
    assert list(metadata.classes.values()) == list(range(len(metadata.classes)))
    assert data["split"] == "official"
    assert data["label_version"] == "unknown"
    assert len(metadata.provenance["trained_images"]) == data["images"]["train"]
    assert {row["epoch"] for row in rows(trained / "steps.csv")} == {"1", "2"}
    assert [row["epoch"] for row in rows(trained / "epochs.csv")] == ["1", "2"]
    assert set(metadata.validation["thresholds"]) == set(metadata.classes)
    assert set(metadata.validation["calibration"]) == set(metadata.classes)
    curves = metadata.validation["operating_curve"]
    assert any(curves.values())
    assert all(len(curve["fpr"]) <= 101 for curve in curves.values() if curve)
    assert not [name for name in os.listdir(trained) if name.endswith(".tmp")]


def test_the_weights_file_says_nothing_of_the_machines_folders(trained, of_all_workers):
    content = load_sealed(trained / "best_chexnet_params.pth")
    content.pop("state_dict")
    assert str(of_all_workers) not in repr(content)


@pytest.mark.usefixtures("real_network")
def test_the_first_steps_loss_is_that_of_plain_pytorch(tiny_options, tmp_path):
    """An independent loop over the same pictures: torchvision's pipeline, BCE, AdamW."""
    from chexnet.data.datasets import ChestXRayDataSet, epoch_order
    from chexnet.data.splits import make_split
    from chexnet.model import build
    from chexnet.transforms import Preprocessing, eval_transform

    told = Recorder()
    steps = 3
    fit(
        TrainConfig(**tiny_options, out=tmp_path / "run"),
        told,
        stop=lambda: len(told.losses) >= steps,
    )
    folder = read_folder(tiny_options["data"])
    data = ChestXRayDataSet(
        folder,
        transform=eval_transform(Preprocessing(size=64)),
        rows=make_split(folder).rows["train"],
    )
    model = build(data.classes, "none", 0).model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    criterion = torch.nn.BCEWithLogitsLoss()
    order = epoch_order(len(data), 0, 0)
    for number in range(steps):
        items = [data[i] for i in order[number * 8 : number * 8 + 8]]
        loss = criterion(
            model(torch.stack([item[0] for item in items])), torch.stack([i[1] for i in items])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert told.losses[number] == pytest.approx(loss.item(), rel=2e-3)


def test_bfloat16_on_a_cpu_is_asked_for_and_close_to_float32(tiny_options, tmp_path):
    losses = {}
    for name in ("auto", "bf16"):
        told = Recorder()
        config = TrainConfig(**tiny_options, precision=name, out=tmp_path / name)
        fit(config, told, stop=lambda told=told: len(told.losses) >= 2)
        losses[name] = told.losses
    assert losses["auto"] != losses["bf16"]
    assert losses["bf16"] == pytest.approx(losses["auto"], rel=0.02)


def test_thresholds_and_calibration_are_chosen_in_the_precision_that_answers(
    tiny_options, tmp_path
):
    """Trained in bfloat16, scored in float32 as the weights will be."""
    config = TrainConfig(**{**tiny_options, "epochs": 1}, precision="bf16", out=tmp_path / "run")
    fit(config)
    weights = tmp_path / "run" / "best_chexnet_params.pth"
    _, metadata = load_weights(weights)
    scored = score_weights(DataRequest(config.data), weights, "val", device="cpu", workers=0)
    loss = metadata.validation["figures"]["loss"]
    assert loss == pytest.approx(summarise(scored.scores).loss, rel=1e-6)


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_on_a_cpu_that_has_none_is_said_to_be_slow(supported, tiny_options, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    asked = TrainConfig(**tiny_options, precision="bf16")
    said = performance_warning(asked, torch.device("cpu"))
    assert said is None if supported else "ten times as fast" in said
    assert performance_warning(TrainConfig(**tiny_options), torch.device("cpu")) is None


def test_what_a_start_was_trained_on_is_not_forgotten(trained, tiny_options, tmp_path):
    """Other seeds put patients of the first training into the second one's test part."""
    weights = trained / "best_chexnet_params.pth"
    options = {**tiny_options, "split": "patient", "seed": 5, "init": str(weights), "epochs": 1}
    with pytest.raises(LeakError, match="were trained on"):
        fit(TrainConfig(**options, out=tmp_path / "refused"))
    fit(TrainConfig(**options, allow_leak=True, out=tmp_path / "run"))
    _, before = load_weights(weights)
    _, after = load_weights(tmp_path / "run" / "best_chexnet_params.pth")
    hashes = (set(metadata.provenance["trained_images"].tolist()) for metadata in (before, after))
    assert next(hashes) < next(hashes)
    assert after.provenance["data"]["leaky"]


def test_a_start_that_does_not_say_what_it_was_trained_on_is_refused(
    trained, tiny_options, tmp_path
):
    model, metadata = load_weights(trained / "best_chexnet_params.pth")
    save_weights(tmp_path / "mute.pth", model, replace(metadata, provenance={}))
    options = {**tiny_options, "init": str(tmp_path / "mute.pth")}
    with pytest.raises(CheckpointError, match=r"--init: .*mute\.pth does not say"):
        fit(TrainConfig(**options, out=tmp_path / "run"))


def test_a_loss_that_is_no_number_stops_the_run_with_advice(tiny_options, tmp_path):
    with pytest.raises(ChexnetError, match=r"loss became nan.*--lr"):
        fit(TrainConfig(**{**tiny_options, "lr": 1e30}, out=tmp_path / "run"))
    assert not (tmp_path / "run" / "best_chexnet_params.pth").exists()


def test_two_runs_do_not_share_a_folder(tiny_options, tmp_path):
    out = tmp_path / "run"
    options = {**tiny_options, "out": out, "epochs": 50}
    first = start(jobs.train, options)
    wait_for(out / "last.pth", [first])
    try:
        with pytest.raises(ChexnetError, match="Another training is running"):
            fit(TrainConfig(**options))
    finally:
        first.kill()
        first.join()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_picture_stops_training_with_its_name(tiny_options, tmp_path, workers):
    data = tmp_path / "damaged"
    shutil.copytree(tiny_options["data"], data)
    for broken in read_folder(data).paths.values():
        broken.write_bytes(broken.read_bytes()[:200])
    options = {**tiny_options, "data": data, "workers": workers}
    with pytest.raises(DataError, match=r"\.png.*--skip-unreadable") as caught:
        fit(TrainConfig(**options, out=tmp_path / "run"))
    assert "Traceback" not in str(caught.value)


def test_the_strong_recipe_trains_and_its_average_is_what_is_kept(tiny_options, tmp_path):
    options = {**tiny_options, "recipe": "strong", "epochs": 1, "batch_size": 8, "lr": 1e-3}
    config = TrainConfig.from_recipe({**options, "warmup_epochs": 0.0, "out": tmp_path / "run"})
    fit(config)
    best, last = tensors(config.out, "best_chexnet_params.pth"), tensors(config.out)
    assert best.keys() == last.keys()
    assert not torch.equal(best["classifier.weight"], last["classifier.weight"])
    name = "features.norm5.running_mean"
    assert torch.equal(best[name], last[name])  # BatchNorm's buffers are copied, not averaged


def test_parts_of_a_batch_add_up_to_the_batch(tiny_options, tmp_path):
    losses = []
    for parts in (1, 4):
        options = {**tiny_options, "accumulate": parts, "freeze_bn": True}
        told = Recorder()
        fit(
            TrainConfig(**options, out=tmp_path / str(parts)),
            told,
            stop=lambda told=told: len(told.losses) >= 4,
        )
        losses.append(told.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_observer_is_told_the_same_figures_as_the_log(tiny_options, tmp_path):
    told = Recorder()
    fit(TrainConfig(**{**tiny_options, "epochs": 1}, out=tmp_path / "run"), told)
    logged = [float(row["loss"]) for row in rows(tmp_path / "run" / "steps.csv")]
    assert logged == told.losses
    row = rows(tmp_path / "run" / "epochs.csv")[0]
    assert float(row["val_loss"]) == told.epochs[0][1].loss
    assert float(row["train_loss"]) == pytest.approx(np.mean(logged))
