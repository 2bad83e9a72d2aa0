"""Many files: every picture once, whatever happens to the processes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from chexnet.errors import ConfigError
from chexnet.inference.job import PredictionJob
from chexnet.inference.predictor import AHEAD, Predictor
from tests import jobs
from tests.conftest import BEST
from tests.malformed import encoded, smooth
from tests.processes import start_ranks, wait

pytestmark = pytest.mark.usefixtures("tiny_network")


def draw(folder: Path, count: int, damaged: tuple[int, ...] = ()) -> list[str]:
    folder.mkdir()
    for number in range(count):
        file = encoded(np.roll(smooth(), number, axis=1))
        file = file[:90] if number in damaged else file
        (folder / f"{number:04d}.png").write_bytes(file)
    return [str(folder / f"{number:04d}.png") for number in range(count)]


def rows(paths: list[Path]) -> list[list[str]]:
    lines = []
    for path in paths:
        with path.open(newline="") as file:
            lines += list(csv.reader(file))[1:]
    return lines


def parts(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("part-*.csv") if ".errors" not in path.name)


def test_two_ranks_killed_and_started_again_predict_every_picture_once(trained, tmp_path):
    bad, out = (3, 101, 158), tmp_path / "out"
    files = draw(tmp_path / "pictures", 160, bad)
    arguments = (tmp_path / "pictures", trained / BEST, out)
    ranks = start_ranks(jobs.predict_many, *arguments)
    while not (written := parts(out) if out.exists() else []):
        assert all(rank.is_alive() for rank in ranks)
    for rank in ranks:
        rank.kill()
    wait(ranks)
    assert 1 <= len(parts(out)) < 16, "it was not killed half way"
    before = {path: path.stat().st_mtime_ns for path in written}
    assert wait(start_ranks(jobs.predict_many, *arguments)) == [0, 0]
    assert {path: path.stat().st_mtime_ns for path in written} == before
    good = [name for number, name in enumerate(files) if number not in bad]
    assert [row[0] for row in rows(parts(out))] == good  # once each, and in order
    errors = rows([out / "errors.csv"])
    assert [name for name, _ in errors] == [files[number] for number in bad]
    assert all("damaged" in reason for _, reason in errors)
    assert not list(out.glob(".*.tmp"))


@pytest.fixture(scope="module")
def predictor(trained) -> Predictor:
    return Predictor(trained / BEST, "cpu", engine="torch")


def job(out: Path, files: list[str], **about: object) -> PredictionJob:
    return PredictionJob(out, lambda: map(Path, files), about, shard=4)


def test_the_numbers_are_those_of_the_predictor(predictor, tmp_path):
    files = draw(tmp_path / "pictures", 10)
    assert job(tmp_path / "out", files).run(predictor, batch_size=3) == (10, 0)
    expected = list(predictor.stream(map(Path, files), 3))
    for row, result in zip(rows(parts(tmp_path / "out")), expected, strict=True):
        assert row[1] == result.input.verdict.message
        assert row[2] == ";".join(predictor.findings_over_threshold(result.prediction))
        given = list(result.prediction.probabilities.values())
        assert row[-1] == row[1]
        assert [float(value) for value in row[3:-1]] == pytest.approx(given, abs=1e-6)
    assert not (tmp_path / "out" / "errors.csv").exists()


def test_a_finished_job_is_not_begun_again_and_its_files_are_listed_once(predictor, tmp_path):
    files = draw(tmp_path / "pictures", 6)
    job(tmp_path / "out", [*files, files[0]]).run(predictor)
    again = PredictionJob(tmp_path / "out", lambda: pytest.fail("listed again"), {}, shard=4)
    assert (again.done(), again.files) == (6, files)
    assert again.run(predictor) == (0, 0)


def test_ranks_divide_the_shards_and_a_second_command_is_refused(predictor, tmp_path):
    files, out = draw(tmp_path / "pictures", 12), tmp_path / "out"
    begun = job(out, files)
    assert begun.run(predictor, rank=1, world=2) == (4, 0)
    assert [path.name for path in parts(out)] == ["part-00001.csv"]
    with (
        FileLock(out / ".rank-0.lock"),
        pytest.raises(ConfigError, match=r"Another prediction is at work in .*--out"),
    ):
        begun.run(predictor)
    assert begun.run(predictor) == (8, 0)


def test_a_folder_of_another_job_is_refused_with_both_values(tmp_path):
    job(tmp_path / "out", ["a.png"], weights="one")
    with pytest.raises(ConfigError, match=r"weights: found 'one', expected 'two'.*--out"):
        job(tmp_path / "out", ["a.png"], weights="two")
    assert json.loads((tmp_path / "out" / "files.json").read_text()) == ["a.png"]


def test_reading_runs_some_batches_ahead_and_no_further(predictor, tmp_path):
    files, taken = draw(tmp_path / "pictures", 30), []

    def paths():
        for name in files:
            taken.append(name)
            yield Path(name)

    stream = predictor.stream(paths(), batch_size=2)
    next(stream)
    assert len(taken) == 2 * (AHEAD + 1)
    stream.close()
