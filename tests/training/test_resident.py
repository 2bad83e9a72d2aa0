"""Training on a pack that lies on the device, beside training from the pack itself."""

import shutil

import pytest
import torch

from chexnet.config import TrainConfig
from chexnet.data.nih import read_folder
from chexnet.data.pack import pack_folder, prepare
from chexnet.data.resident import ResidentDataSet
from chexnet.errors import ConfigError
from chexnet.training import loop
from chexnet.training.loop import fit
from chexnet.transforms import Preprocessing
from tests.runs import Recorder, equal, rows, tensors

CLOCK = ("seconds", "waiting_share")


@pytest.fixture(scope="module")
def options(tiny_options, tmp_path_factory) -> dict:
    """All that a step has: augmentation, averaged weights, a last batch that is smaller."""
    preprocessing, packs = Preprocessing(size=64), tmp_path_factory.mktemp("packs")
    folder = read_folder(tiny_options["data"])
    place = pack_folder(packs, folder.root, preprocessing)
    prepare(folder.paths, place, preprocessing, workers=1)
    more = {"epochs": 1, "augment": "strong", "ema_decay": 0.9, "packs": packs, "batch_size": 12}
    return {**tiny_options, **more}


def without_clock(path) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows(path)]


def test_resident_and_packed_runs_are_the_same_bit_for_bit_also_when_one_is_interrupted(
    options, tmp_path, monkeypatch
):
    read = []
    inner = loop.batch_loader
    monkeypatch.setattr(
        loop, "batch_loader", lambda data, *a, **k: read.append(type(data)) or inner(data, *a, **k)
    )
    fit(TrainConfig(**options, resident="off", out=tmp_path / "packed"))
    assert ResidentDataSet not in read

    resumed, changed = tmp_path / "resumed", tmp_path / "changed"
    told = Recorder()
    given = {**options, "resident": "on", "out": resumed}
    stopped = fit(TrainConfig(**given), told, stop=lambda: len(told.losses) == 2)
    assert stopped.state == "stopped"
    shutil.copytree(resumed, changed)
    assert fit(TrainConfig(**given)).state == "finished"
    assert read[1:] == [ResidentDataSet] * 2
    fit(TrainConfig(**{**given, "resident": "off", "out": changed}))

    def seal(out) -> str:
        """Of all that the checkpoint holds: network, average, optimiser, place, best figures."""
        return torch.load(out / "last.pth", weights_only=True)["sha256"]

    packed = tmp_path / "packed"
    best = tensors(packed, "best_chexnet_params.pth")
    for other in (resumed, changed):
        assert seal(other) == seal(packed)
        assert equal(tensors(other, "best_chexnet_params.pth"), best)
        for name in ("steps.csv", "epochs.csv"):
            assert without_clock(other / name) == without_clock(packed / name)


def test_a_restart_that_has_no_pack_costs_nothing(copied, tiny_options):
    before = {path.name: path.stat().st_size for path in copied.iterdir()}
    with pytest.raises(ConfigError, match="--resident on: found no pack"):
        fit(TrainConfig(**tiny_options, resident="on", out=copied), restart=True)
    assert {path.name: path.stat().st_size for path in copied.iterdir()} == before
    assert fit(TrainConfig(**tiny_options, resident="on", out=copied)).state == "was finished"
