import json
import subprocess
import sys

import numpy as np
import pytest

from chexnet.evaluation.compare import Difference, as_dict
from chexnet.evaluation.intervals import NO_INTERVAL, Interval, read_interval
from chexnet.evaluation.report.comparison import comparison_text
from chexnet.evaluation.report.render import format_interval, format_value
from chexnet.files import plain
from tests.conftest import ROOT


def test_a_figure_is_shown_with_its_digits_and_a_missing_one_as_not_available():
    assert format_value(0.81256) == "0.813"
    assert format_value(0.81256, 4) == "0.8126"
    assert format_value(-0.02, 2, signed=True) == "-0.02"
    assert format_value(0.02, 2, signed=True) == "+0.02"
    assert format_value(None) == format_value(float("nan")) == "n/a"


@pytest.mark.parametrize(
    "stored",
    [
        Interval(0.25, 0.75, 3),
        plain(Interval(0.25, 0.75, 3)),
        json.loads(json.dumps(plain(Interval(0.25, 0.75)))),
        [0.25, 0.75],
    ],
)
def test_an_interval_is_shown_alike_however_a_file_holds_it(stored):
    assert format_interval(stored) == "0.250-0.750"
    assert format_interval(stored, 2, between=" to ") == "0.25 to 0.75"
    assert format_interval(stored, 1, between=" ", signed=True) == "+0.2 +0.8"
    assert (read_interval(stored).low, read_interval(stored).high) == (0.25, 0.75)


@pytest.mark.parametrize("stored", [None, NO_INTERVAL, plain(NO_INTERVAL)])
def test_no_interval_is_shown_as_not_available(stored):
    assert format_interval(stored) == "n/a"
    assert not read_interval(stored).known


def test_an_interval_has_no_nan_in_json():
    assert plain(NO_INTERVAL) == {"low": None, "high": None, "draws_left_out": 0}
    assert plain(Interval(0.5, 0.75, 2)) == {"low": 0.5, "high": 0.75, "draws_left_out": 2}


def test_a_comparison_shows_signs_and_leaves_out_what_is_not_known():
    nan = float("nan")
    comparison = {
        "Mass": Difference(0.75, 0.5, Interval(0.125, 0.375), 0.0125),
        "Hernia": Difference(nan, nan, NO_INTERVAL, nan),
        "Edema": Difference(0.5, 0.625, NO_INTERVAL, nan),
    }
    text = comparison_text(as_dict(comparison))
    rows = [line.split() for line in text.splitlines()[1:-3]]
    assert rows == [
        ["Mass", "0.7500", "0.5000", "+0.2500", "+0.1250", "to", "+0.3750", "0.013", "0.1786"],
        ["Hernia", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a"],
        ["Edema", "0.5000", "0.6250", "-0.1250", "n/a", "n/a", "n/a"],
    ]
    assert text.endswith("Differ at 5 %, corrected for 1 findings at once (Holm): Mass.")


def test_numbers_are_formatted_without_torch():
    code = (
        "import sys\nfrom chexnet.evaluation.report import sentences, tables\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_a_numpy_figure_is_shown_as_a_plain_one():
    assert format_value(np.float64(0.5)) == "0.500"
