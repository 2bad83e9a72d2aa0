"""What several tests of the commands share."""

import pytest


@pytest.fixture
def undrawn(monkeypatch):
    """Eval without its plots, which take most of its time, for tests that do not look at them.

    test_commands looks at the files, evaluation/report/test_page at the plots in the page.
    """
    # The page first: it takes the functions from the module of the plots when it is imported.
    monkeypatch.setattr(
        "chexnet.evaluation.report.page._plot", lambda *about, stamp: f"data:image/png,{stamp}"
    )
    for name in ("plot_auroc", "plot_roc"):
        monkeypatch.setattr(f"chexnet.evaluation.report.plots.{name}", lambda *about: None)
