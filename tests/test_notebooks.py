"""The notebooks of docs/ from top to bottom, on phantoms and with the tiny network."""

from pathlib import Path

import nbformat
import pytest

from chexnet.phantom.dataset import draw_phantoms
from tests import jobs
from tests.conftest import ROOT
from tests.processes import start, wait

EVENING = ROOT / "docs" / "chexnet_in_an_evening.ipynb"
COURSE = sorted((ROOT / "docs" / "course").glob("*.ipynb"))


def run(books: list[Path], told: Path, **env: str) -> str:
    """Every cell in a process of its own; a cell that raises ends the test. Gives what they say."""
    cells = [nbformat.read(path, as_version=4).cells for path in books]
    code = [[cell.source for cell in book if cell.cell_type == "code"] for book in cells]
    ran = wait([start(jobs.run_cells, code, ROOT / "docs", told, env=env)], 600)
    assert ran == [0], told.read_text()
    return told.read_text()


@pytest.mark.parametrize("path", [EVENING, *COURSE], ids=lambda path: path.stem)
def test_a_notebook_is_small_and_kept_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 20_000
    assert not any(cell.get("outputs") for cell in book.cells)


@pytest.mark.usefixtures("tiny_network")
def test_the_evening_runs_from_top_to_bottom_on_phantoms(tmp_path):
    home = tmp_path / "evening"
    draw_phantoms(home / "nih", patients=24, size=96, workers=1)
    text = run([EVENING], tmp_path / "told", CHEXNET_PHANTOMS="1", CHEXNET_EVENING=str(home))
    assert "s a step" in text
    assert "Best weights" in text
    assert "Open http://127.0.0.1" in text
    assert text.endswith("Figures: 1\n")
    assert (home / "runs/evening/eval-test/metrics.json").exists()


def test_the_six_lessons_show_a_figure_and_ask_a_question_each(tmp_path):
    draw_phantoms(tmp_path / "phantoms", patients=20, size=256, seed=900, workers=1)
    text = run(COURSE, tmp_path / "told", CHEXNET_COURSE=str(tmp_path), CHEXNET_PATIENTS="20")
    assert text.endswith("Figures: 6\n")
    assert len(COURSE) == 6
    last = [nbformat.read(path, as_version=4).cells[-1].source for path in COURSE]
    assert all("**Question.**" in text for text in last)
    answers = (ROOT / "docs" / "course" / "answers.md").read_text()
    assert all(f"\n{number}. **" in answers for number in range(1, 7))
