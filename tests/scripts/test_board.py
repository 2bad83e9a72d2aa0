import pytest

from chexnet.config import TrainConfig
from chexnet.errors import ConfigError
from chexnet.training.loop import fit
from scripts.train import board
from scripts.train.board import Board
from tests.runs import Recorder, rows

pytestmark = pytest.mark.usefixtures("tiny_network")

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_tensorboard_is_told_the_same_as_the_log_also_over_a_resume(tiny_options, tmp_path):
    """The second run goes on after one epoch; TensorBoard drops what came after a checkpoint."""
    config = TrainConfig(**{**tiny_options, "epochs": 2, "out": tmp_path / "run"})
    told = Recorder()
    first = Board(told, config)
    fit(config, first, stop=lambda: len(told.losses) >= 3)
    first.close()
    second = Board(told, config)
    fit(config, second)
    second.close()
    events = accumulator.EventAccumulator(str(config.out / "tensorboard")).Reload()
    logged = rows(config.out / "steps.csv")
    losses = events.Scalars("loss/train")
    assert [event.step for event in losses] == list(range(1, len(logged) + 1))
    assert [event.value for event in losses] == pytest.approx([float(r["loss"]) for r in logged])
    rates = [event.value for event in events.Scalars("lr")]
    assert rates == pytest.approx([float(r["lr"]) for r in logged])
    means = [event.value for event in events.Scalars("auroc/mean of the findings")]
    epochs = rows(config.out / "epochs.csv")
    expected = [float(row["mean_auroc_findings"]) for row in epochs]
    assert means == pytest.approx(expected, nan_ok=True)
    assert [epoch for epoch, _, _ in told.epochs] == [1, 2]  # passed on


def test_a_missing_tensorboard_is_said_before_anything_is_trained(monkeypatch, tiny_options):
    monkeypatch.setattr(board, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        Board(Recorder(), TrainConfig(**tiny_options))
