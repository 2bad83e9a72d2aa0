"""The notebooks of docs/ from top to bottom, on phantoms and with the tiny network."""

import nbformat
import pytest
from nbclient import NotebookClient

from chexnet.phantom.dataset import draw_phantoms
from tests.conftest import ROOT

EVENING = ROOT / "docs" / "chexnet_in_an_evening.ipynb"
COURSE = sorted((ROOT / "docs" / "course").glob("*.ipynb"))
TINY = "import sys; sys.path.insert(0, {root!r}); from tests import tiny; tiny.use()"
# The kernel's channels leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore")


def run(cells: list) -> nbformat.NotebookNode:
    """Every cell in a fresh kernel; a cell that raises ends the test."""
    book = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(
        book,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT / "docs")}},
    )
    return client.execute()


def shown(book: nbformat.NotebookNode) -> tuple[str, int]:
    """What the cells printed, and the number of their figures."""
    outputs = [one for cell in book.cells for one in cell.get("outputs", [])]
    text = "".join(one.get("text", "") for one in outputs)
    return text, sum("image/png" in one.get("data", {}) for one in outputs)


@pytest.mark.parametrize("path", [EVENING, *COURSE], ids=lambda path: path.stem)
def test_a_notebook_is_small_and_kept_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 20_000
    assert not any(cell.get("outputs") for cell in book.cells)


def test_the_evening_runs_from_top_to_bottom_on_phantoms(tmp_path, monkeypatch):
    monkeypatch.setenv("CHEXNET_PHANTOMS", "1")
    monkeypatch.setenv("CHEXNET_EVENING", str(tmp_path / "evening"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    draw_phantoms(tmp_path / "evening" / "nih", patients=24, size=96, workers=1)
    cells = nbformat.read(EVENING, as_version=4).cells
    text, figures = shown(run([nbformat.v4.new_code_cell(TINY.format(root=str(ROOT))), *cells]))
    assert "s a step" in text
    assert "Best weights" in text
    assert "Open http://127.0.0.1" in text
    assert figures == 1
    assert (tmp_path / "evening/runs/evening/eval-test/metrics.json").exists()


def test_the_six_lessons_show_a_figure_and_ask_a_question_each(tmp_path, monkeypatch):
    """In one kernel, which forgets between two of them."""
    monkeypatch.setenv("CHEXNET_COURSE", str(tmp_path))
    monkeypatch.setenv("CHEXNET_PATIENTS", "20")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    draw_phantoms(tmp_path / "phantoms", patients=20, size=256, seed=900, workers=1)
    books = [nbformat.read(path, as_version=4).cells for path in COURSE]
    assert len(books) == 6
    assert all("**Question.**" in cells[-1].source for cells in books)
    forget = nbformat.v4.new_code_cell("%reset_selective -f ^[a-zA-Z]")
    _, figures = shown(run([cell for cells in books for cell in (*cells, forget)]))
    assert figures == 6
    answers = (ROOT / "docs" / "course" / "answers.md").read_text()
    assert all(f"\n{number}. **" in answers for number in range(1, 7))
