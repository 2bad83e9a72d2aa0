"""The bench: which way its ratios go, and that it says nothing of wrong answers. No time limits."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import threading
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image
from typer.testing import CliRunner

import dev
from chexnet.errors import ChexnetError, DataError
from dev.bench import demo as demo_rows
from dev.bench import evaluation as evaluation_rows
from dev.bench import explaining as explaining_rows
from dev.bench import floors as bench_floors
from dev.bench import memory as memory_rows
from dev.bench import plot as bench_plot
from dev.bench import rows as bench_rows
from dev.bench import served as bench_served
from dev.bench import training as training_rows
from dev.bench.__main__ import app
from dev.bench.rows import CostRow, Group, LimitRow, Row, Skipped, in_turn, table
from dev.bench.setting import Setting
from tests.conftest import needs_signals
from tests.processes import start, wait, wait_for

CLIENTS, REPEATS = 3, 3


def tiny(phantoms: Path, out: Path, **more: object) -> Setting:
    return Setting(out, phantoms, images=12, size=64, repeats=REPEATS, clients=CLIENTS, **more)


class Recorded(subprocess.Popen):
    """Remembers every process that was started."""

    started: ClassVar[list[subprocess.Popen]] = []

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.started.append(self)


@pytest.fixture(scope="module")
def ran(phantoms, trained, tmp_path_factory):
    """The folder of a run of the command, and what it said."""
    out = tmp_path_factory.mktemp("bench")
    options = ["--data", phantoms, "--out", out, "--size", 64, "--images", 12, "--steps", 2]
    options += ["--repeats", REPEATS, "--clients", CLIENTS]
    options += ["--only", "reading", "--only", "explaining", "--only", "demo"]
    options += ["--only", "memory", "--weights", trained / "best_chexnet_params.pth"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Recorded)
        for group in (demo_rows, explaining_rows):
            patch.setattr(group, "MORE", 1)
        for name, value in {"RUNS": 1, "SIZE": 64, "FEW": 12, "MANY": 24}.items():
            patch.setattr(memory_rows, name, value)
        done = CliRunner().invoke(app, list(map(str, options)))
    assert done.exit_code == 0, (done.output, done.exception)
    assert not list(out.rglob("best_chexnet_params.pth"))  # the demo opens the newest run's
    return out, done.output


@pytest.fixture(scope="module")
def rows(ran) -> dict[str, dict]:
    """Its rows, by work and what stands beside it."""
    content = json.loads((ran[0] / "bench.json").read_text())
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert set(content["skipped"]) == (set() if chromium else {"viewer in Chromium"})
    return {f"{row['work']} / {row['beside']}": row for row in content["rows"]}


def found(rows: dict[str, dict], *words: str) -> dict:
    [name] = [name for name in rows if all(word in name for word in words)]
    return rows[name]


def test_the_ratio_says_how_many_times_as_fast_ours_is_or_what_it_costs():
    sides = ([1.0, 2.0, 6.0], [10.0, 20.0, 90.0])
    assert Row("w", "s", *sides, "b", "t").ratio_text == "10.00x as fast"
    assert CostRow("w", "s", *sides, "b", "t").ratio_text == "0.10x the time"
    limited = LimitRow("w", "GB", sides[0], [], "b", "t", limit=4.0)
    assert (limited.ratio_text, limited.other_text) == ("50 % of the limit", "4 GB")


def test_the_table_shows_median_spread_ratio_target_and_what_was_left_out():
    row = Row("reading", "ms", [2.0, 1.0, 3.0], [4000.0, 3000.0, 5000.0], "PIL", "under 5 ms")
    told = table([row], [Skipped("the demo", "not installed: gradio")])
    assert (
        "| reading | 2 (1-3) ms | PIL: 4,000 (3,000-5,000) ms | 2,000x as fast | under 5 ms |"
        in told
    )
    assert told.endswith("Not measured: the demo (not installed: gradio).")


def test_both_sides_run_in_turn_and_the_first_call_of_each_is_not_counted():
    called = []
    mine, theirs = in_turn(lambda: called.append("A"), lambda: called.append("B"), 3)
    assert "".join(called) == "ABABABAB"
    assert len(mine) == len(theirs) == 3


@pytest.mark.parametrize("group", Group)
def test_each_group_has_its_file(group):
    assert (Path(dev.__file__).parent / "bench" / f"{group}.py").is_file()


@pytest.mark.slow
def test_every_row_is_made_of_its_two_sides(rows):
    for row in rows.values():
        ours, other = (statistics.median(row[side] or [1]) for side in ("ours", "other"))
        # A browser's clock has steps, and a picture this small is drawn within one of them.
        in_browser = "Chromium" in row["work"]
        assert min(*row["ours"], *row["other"], 1) >= (0 if in_browser else 1e-12)
        if "limit" in row:
            assert row["ratio"] == pytest.approx(ours / row["limit"])
            continue
        cost = "as fast" not in row["ratio_text"]
        assert row["ratio"] == pytest.approx(ours / other if cost else other / ours)


@pytest.mark.slow
def test_the_promised_rows_are_there_with_their_targets(rows):
    forward = found(
        rows, "15 heatmaps and probabilities of a picture, CPU, 64 px / one forward pass"
    )
    assert forward["target"] == "at most 1.3x"
    assert forward["ratio_text"].endswith("the time")
    package = found(rows, "15 heatmaps and probabilities", "grad-cam package, class by class")
    assert package["ratio_text"].endswith("as fast")
    assert package["target"] == "at least 30x"
    assert found(rows, "served (ONNX Runtime)")["target"] == "at least 1.8x"
    assert found(rows, "scripts.predict over 12 files")["target"] == "at least 1.5x"
    limits = [found(rows, "opening a pack of 112,120", what) for what in ("time", "memory")]
    limits += [found(rows, "training on the CPU"), found(rows, "scoring 24 images")]
    assert all(row["ratio_text"].endswith("of the limit") for row in limits)
    first = found(rows, "upload of a 96x96 PNG, probabilities and first heatmap")
    assert (first["unit"], first["target"]) == ("ms", "under 250 ms")
    other = found(rows, "another finding's heatmap")
    assert (other["unit"], other["target"]) == ("ms", "under 100 ms")
    crowd = found(rows, f"{CLIENTS} visitors at once", "one after another")
    assert crowd["target"] == "at most 1.2x"
    assert crowd["ratio_text"].endswith("the time")
    assert len(crowd["ours"]) == REPEATS


@pytest.mark.slow
def test_only_the_groups_that_were_asked_for_are_measured_and_shown(ran, rows):
    out, said = ran
    assert not [name for name in rows if "bootstrap" in name]
    assert found(rows, "reading an epoch up to the item")
    assert found(rows, "decoding and packing a 96x96 PNG")["target"] == "at least 1.2x"
    assert (out / "bench.md").read_text() in said


@pytest.mark.slow
def test_the_demo_of_the_bench_is_stopped(ran):
    [demo] = [process for process in Recorded.started if "demo" in process.args]
    assert demo.returncode == 0


def test_the_bootstrap_is_measured_beside_the_loop(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_rows, "IMAGES", 5000)
    monkeypatch.setattr(evaluation_rows, "REPLICATES", 20)
    monkeypatch.setattr(evaluation_rows, "LIBRARY_DRAWS", 2)
    [row] = evaluation_rows.rows(tiny(phantoms, tmp_path))
    assert row.work == "bootstrap, 20 draws x 5,000 images x 14"
    assert len(row.ours) == len(row.other) == REPEATS


def test_without_gradio_the_demo_is_skipped_with_the_reason(phantoms, tmp_path, monkeypatch):
    installed = bench_rows.find_spec
    monkeypatch.setattr(
        bench_rows, "find_spec", lambda name: None if name == "gradio" else installed(name)
    )
    [row] = demo_rows.rows(tiny(phantoms, tmp_path))
    assert row == Skipped("the demo", "not installed: gradio; pip install -r requirements.txt")


@pytest.mark.slow
def test_without_the_grad_cam_package_its_row_alone_is_skipped(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_rows, "find_spec", lambda name: None)
    setting = tiny(phantoms, tmp_path)
    forward, served, package = bench_rows.measure(setting, [Group.EXPLAINING])
    assert forward.beside.startswith("one forward pass")
    assert isinstance(served, Skipped)
    assert "not installed: onnxruntime, onnx, onnxscript" in served.reason
    assert isinstance(package, Skipped)
    assert "not installed: pytorch_grad_cam" in package.reason


def test_too_few_pictures_are_told_with_what_to_change(phantoms, tmp_path):
    with pytest.raises(DataError, match=r"expected at least 4000\. .*--clients"):
        tiny(phantoms, tmp_path).pictures(4000)


def test_a_demo_that_does_not_start_is_told_in_its_own_words(tmp_path):
    log = tmp_path / "demo.log"
    with (
        pytest.raises(ChexnetError, match=r"did not start; it said: Error: .*demo\.log"),
        bench_served.served(tmp_path / "none.pth", log),
    ):
        pass


def serve_until_ended(weights: Path, out: Path) -> None:
    """Serve as the bench does; tells the demo's process when it is served."""
    subprocess.Popen = Recorded
    with bench_served.served(weights, out / "demo.log"):
        (out / "ready.tmp").write_text(str(Recorded.started[-1].pid))
        (out / "ready.tmp").rename(out / "ready")
        threading.Event().wait()


@pytest.mark.slow
@needs_signals
def test_a_bench_that_is_ended_from_outside_leaves_no_demo(trained, tmp_path):
    process = start(serve_until_ended, trained / "best_chexnet_params.pth", tmp_path)
    wait_for(tmp_path / "ready", [process])
    process.terminate()
    assert wait([process]) == [128 + signal.SIGTERM]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "ready").read_text()), 0)


# --- training --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_step_from_the_pack_stands_beside_one_that_reads_nothing(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(training_rows, "_ranks", lambda setting: Skipped("ranks", "not here"))
    setting = Setting(tmp_path, phantoms, images=12, size=64, repeats=2, steps=1)
    held, ranks = training_rows.rows(setting)
    assert (held.unit, held.target) == ("ms a step", "at least 0.95x")
    assert len(held.ours) == len(held.other) == 2
    assert isinstance(ranks, Skipped)


@pytest.mark.slow
def test_two_ranks_are_timed_epoch_by_epoch_but_for_the_first(phantoms, tmp_path):
    setting = Setting(tmp_path, phantoms, size=64, repeats=2)
    [seconds] = training_rows._epochs(setting, "cpu", 2)
    assert seconds > 0


def test_the_floors_are_those_of_densenet():
    operations, moved = bench_floors.work_of(224)
    # 2.87 GMAC forward (torchvision's own figure), two operations each, three passes; the first
    # layer needs no gradient of its input.
    assert 0.95 < operations / (2.87e9 * 2 * 3) <= 1
    assert 0.2e9 < moved < 2e9
    card = bench_floors.floors(224, "NVIDIA H200")
    assert card.arithmetic == pytest.approx(989e12 / operations)
    assert card.memory == pytest.approx(4.8e12 / moved)
    assert "images/s by arithmetic" in card.text
    other = bench_floors.floors(224, "another card")
    assert (other.arithmetic, other.memory) == (None, None)
    assert "images/s" not in other.text


def test_the_plot_shows_the_rows_that_have_a_speed(tmp_path):
    sides = ([1.0], [10.0], "PIL", "at least 5x")
    bench_plot.plot([Row("reading", "ms", *sides)], tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 600
    bench_plot.plot([CostRow("cost", "ms", *sides)], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
