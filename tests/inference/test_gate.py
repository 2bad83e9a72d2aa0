"""The gate: phantoms pass, whatever else is told in words; the marks on real radiographs."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images
from torch.nn import functional

from chexnet.imaging.radiograph import PictureInfo, Radiograph, read_radiograph
from chexnet.inference.gate import (
    DOWN,
    ELSE,
    FINE,
    INVERTED,
    PARAMETERS,
    SIDE,
    Network,
    Verdict,
    judge,
    log_odds,
    name_of,
    thumbnail,
)
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import person
from dev.gate import making
from dev.gate.check import Share, cross_validate
from dev.gate.lateral import side_view
from dev.gate.learning import Net, on_plates
from dev.gate.pictures import MISLAID, Pictures
from tests.conftest import SHARED

ODD = SHARED / "odd"
with_odd = pytest.mark.skipif(not ODD.is_dir(), reason="needs the odd files in ../shared/odd")
PHANTOM_SEED, PHANTOMS = 997, 60  # learned from seed 990
WRONG: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "turned to the left": (lambda x: np.rot90(x, 1), SIDE),
    "turned to the right": (lambda x: np.rot90(x, 3), SIDE),
    "upside down": (lambda x: np.rot90(x, 2), DOWN),
    "inverted": (lambda x: 255 - x, INVERTED),
}


def as_radiograph(pixels: np.ndarray) -> Radiograph:
    """8 bits, or 16 with the range in use, as `read_radiograph` gives them."""
    if pixels.dtype == np.uint8:
        return Radiograph(np.ascontiguousarray(pixels), 0, 255, PictureInfo("PNG", "L", 8))
    return Radiograph(pixels, int(pixels.min()), int(pixels.max()), PictureInfo("PNG", "I;16", 16))


def verdicts(pictures: list[np.ndarray]) -> list[Verdict]:
    return [judge(as_radiograph(picture)) for picture in pictures]


def share(judged: list[Verdict], kinds: set[str]) -> float:
    return np.mean([verdict.kind in kinds for verdict in judged])


@pytest.fixture(scope="module")
def phantom_pictures() -> list[np.ndarray]:
    return [
        draw_phantom(PHANTOM_SEED, p, p % person(PHANTOM_SEED, p).visits, size=192).pixels
        for p in range(PHANTOMS)
    ]


@pytest.fixture(scope="module")
def held_out(nih) -> list[np.ndarray]:
    """Radiographs of the train_val patients that the gate has not learned from."""
    return [
        read_radiograph(nih.paths[name]).as_uint8()
        for name in sorted(nih.lists["train_val"] & set(nih.paths))
        if int(name[:8]) % 10 >= 7
    ]


@pytest.fixture(scope="module")
def test_list(nih) -> list[np.ndarray]:
    """Every second radiograph of the test list."""
    names = sorted(nih.lists["test"] & set(nih.paths))[::2]
    return [read_radiograph(nih.paths[name]).as_uint8() for name in names]


# --- phantoms and pictures made here ---------------------------------------------------------


def test_phantoms_of_a_seed_that_was_not_learned_from_pass(phantom_pictures):
    judged = verdicts(phantom_pictures)
    assert share(judged, {FINE}) >= 0.99
    assert {verdict.message for verdict in judged if verdict.fine} == {""}


@pytest.mark.parametrize("name", WRONG)
def test_a_phantom_that_is_turned_or_inverted_is_told_so(phantom_pictures, name):
    wrong, kind = WRONG[name]
    judged = verdicts([wrong(picture) for picture in phantom_pictures[::2]])
    assert share(judged, {kind}) >= 0.9


def test_the_answer_says_how_to_set_the_picture_right(phantom_pictures):
    healed = 0
    for number, picture in enumerate(phantom_pictures[:40]):
        turns, inverted = divmod(number % 7 + 1, 2)
        wrong = np.rot90(255 - picture if inverted else picture, -turns)
        verdict = judge(as_radiograph(wrong))
        right = np.rot90(255 - wrong if verdict.inverted else wrong, verdict.turns)
        healed += np.array_equal(right, picture)
        assert verdict.inverted == ("inverted" in verdict.message)
    assert healed >= 36


def crops(picture: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    random, (height, width) = np.random.default_rng(seed), picture.shape
    out = []
    for _ in range(count):
        side = int(random.uniform(0.4, 1) * min(height, width))
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        out.append(picture[top : top + side, left : left + side])
    return out


def test_gray_photographs_are_caught_and_named():
    photographs = [
        np.asarray(Image.fromarray(photograph).convert("L"))
        for photograph in load_sample_images().images
    ]
    judged = verdicts(photographs)
    assert {verdict.kind for verdict in judged} == {ELSE}
    assert any("photograph" in verdict.message for verdict in judged)
    parts = [part for n, photo in enumerate(photographs) for part in crops(photo, 50, n)]
    assert share(verdicts(parts), {FINE}) <= 0.1


@pytest.mark.parametrize(("draw", "named"), [(making.slice_, "slice"), (side_view, "side view")])
def test_nine_drawings_in_ten_that_were_not_learned_from_are_caught_and_most_named(draw, named):
    judged = verdicts(list(making.many(40, 9106, draw)))
    assert share(judged, {ELSE}) >= 0.9
    assert np.mean([named in verdict.message for verdict in judged]) >= 0.9


def test_a_drawn_side_view_depends_on_its_numbers_alone():
    first, second = making.many(2, 7, side_view)
    assert first.shape == (96, 96)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(making.many(1, 7, side_view)[0], first)


def test_a_drawing_gets_tones_and_grain_of_radiographs_to_a_random_degree():
    ramp = torch.linspace(0, 1, 64).expand(40, 1, 64, 64)
    real = torch.full((50, 1, 64, 64), 0.25)  # of one tone, without grain
    plates = on_plates(ramp, real, torch.Generator().manual_seed(0))
    range_left = (plates.amax((1, 2, 3)) - plates.amin((1, 2, 3))).numpy()
    assert (range_left <= 1 + 1e-6).all()
    assert 0.3 < np.mean(range_left > 1 - 1e-6) < 0.7  # half keep their own
    assert range_left.min() < 0.5
    noise = torch.rand(50, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    flat = on_plates(torch.full((40, 1, 64, 64), 0.5), noise, torch.Generator().manual_seed(0))
    assert flat.min() >= 0
    assert flat.max() <= 1
    assert flat.std((1, 2, 3)).max() > 0.1


def test_real_ct_and_mr_slices_are_caught():
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    for name in ("CT_small.dcm", "MR_small.dcm"):
        values = pydicom.dcmread(get_testdata_file(name)).pixel_array.astype(np.float64)
        values = 255 * (values - values.min()) / np.ptp(values)
        assert not judge(as_radiograph(values.astype(np.uint8))).fine, name


def test_text_plots_and_plain_shapes_are_caught():
    pictures = []
    for number in range(20):
        page = Image.new("L", (300, 400), 255 if number % 2 else 20)
        draw = ImageDraw.Draw(page)
        for line in range(4 + number):
            text = f"Line {line} of page {number}: the quick brown fox jumps"
            draw.text((20, 20 + 17 * line), text, fill=0 if number % 2 else 255)
        pictures.append(np.asarray(page))
    steps = np.linspace(0, 255, 256).astype(np.uint8)
    pictures += [np.tile(steps, (256, 1)), np.tile(steps, (256, 1)).T]
    pictures += [np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)]
    pictures += [np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((32, 32))).astype(np.uint8) * 255]
    dot = np.zeros((128, 128), np.uint8)
    dot[64, 64] = 1
    told = verdicts([*pictures, dot])
    assert all(not verdict.fine for verdict in told)
    assert all(np.isfinite(verdict.score) for verdict in told)


# --- what holds for any picture --------------------------------------------------------------


def test_messages_are_one_or_two_plain_sentences(phantom_pictures):
    pictures = [np.rot90(p, n) for n, p in enumerate(phantom_pictures[:12])]
    pictures += [255 - p for p in pictures] + list(making.many(8, 9106, making.slice_))
    for verdict in verdicts(pictures):
        assert verdict.fine == (verdict.message == "") == (verdict.kind == FINE)
        if not verdict.fine:
            assert re.fullmatch(r"([A-Z][^.?]+[.?] ?){1,2}", verdict.message), verdict.message


def test_16_bits_and_8_bits_are_judged_alike(phantom_pictures):
    for picture in phantom_pictures[:10]:
        for pixels in (picture, 255 - picture):
            deep = pixels.astype(np.uint16) * 13 + 100  # a 12-bit detector
            eight, sixteen = judge(as_radiograph(pixels)), judge(as_radiograph(deep))
            assert eight.kind == sixteen.kind
            assert eight.score == pytest.approx(sixteen.score, abs=0.01)


def test_inverting_a_picture_inverts_its_thumbnail(phantom_pictures):
    picture = np.kron(phantom_pictures[0], np.ones((5, 6), np.uint8))
    plain, other = thumbnail(as_radiograph(picture)), thumbnail(as_radiograph(255 - picture))
    assert plain.shape == (64, 64)
    assert np.ptp(plain) == 1
    np.testing.assert_allclose(plain, 1 - other, atol=1e-5)


def test_size_and_a_small_turn_change_nothing(phantom_pictures):
    for picture in phantom_pictures[:10]:
        image = Image.fromarray(picture)
        for other in (
            image.resize((64, 64)),
            image.resize((1500, 1300)),
            image.rotate(4, Image.Resampling.BILINEAR),
        ):
            assert judge(as_radiograph(np.asarray(other))).fine


def test_threads_get_the_answers_of_one_and_pixels_stay(phantom_pictures):
    pictures = [np.rot90(p, n % 4) for n, p in enumerate(phantom_pictures[:40])]
    before = [picture.copy() for picture in pictures]
    alone = verdicts(pictures)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda p: judge(as_radiograph(p)), pictures))
    assert together == alone
    assert all(np.array_equal(a, b) for a, b in zip(before, pictures, strict=True))


def test_the_network_in_numpy_equals_torch():
    with np.load(PARAMETERS, allow_pickle=False) as stored:
        layers = [
            (stored[f"weight{n}"].astype(np.float32), stored[f"bias{n}"].astype(np.float32))
            for n in range(6)
        ]
    views = np.random.default_rng(3).random((5, 64, 64), np.float32)
    x = torch.from_numpy(2 * views - 1)[:, None]
    for weight, bias in layers[:4]:
        kernel = torch.from_numpy(weight)
        x = functional.conv2d(x, kernel, torch.from_numpy(bias), 2, weight.shape[-1] // 2).relu()
    hidden, last = ([torch.from_numpy(a) for a in pair] for pair in layers[4:])
    logits = functional.linear(functional.linear(x.flatten(1), *hidden).relu(), *last)
    expected = torch.log_softmax(logits, 1)
    outputs = Network(tuple(layers)).outputs(views)
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_odds(outputs), torch.logit(expected[:, 0].exp()), atol=1e-2)


def test_the_numbers_are_few_and_no_code():
    assert PARAMETERS.stat().st_size < 300_000
    with np.load(PARAMETERS, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind == "f" for name in stored.files)


def test_the_likeliest_kind_is_named_and_none_where_the_network_is_unsure():
    def named(*chances: float) -> str:
        return name_of(np.log([chances]), 0.3)

    assert named(0.02, 0.02, 0.35, 0.55, 0.05, 0.01) == "slice"
    assert named(0.05, 0.05, 0.05, 0.1, 0.7, 0.05) == "text"
    assert named(0.1, 0.05, 0.05, 0.1, 0.05, 0.65) == "side view"
    assert named(0.25, 0.2, 0.2, 0.1, 0.2, 0.05) == "everyday"
    assert named(0.5, 0.25, 0.1, 0.05, 0.05, 0.05) == ""


def test_cross_validation_judges_by_networks_that_have_not_seen_the_patient(tmp_path, monkeypatch):
    paths = [tmp_path / f"{n:08}_000.png" for n in (3490, 10, 11, 20, 21, 30, 1040, 17)]
    paths[0] = tmp_path / MISLAID[0]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 256, (70, 70), np.uint8)
        Image.fromarray(pixels).save(path)
    none = np.zeros((0, 96, 96), np.uint8)
    pictures = Pictures(np.zeros((len(paths), 96, 96), np.uint8), paths, none, {})
    assert not (pictures.learned & ~pictures.rightly_labelled).any()
    learned, judged = [], []

    def train(given, chosen, steps, on_progress):
        learned.append({path.name for path, flag in zip(given.paths, chosen, strict=True) if flag})
        judged.append(set())
        return Net().eval()

    def read(path):
        judged[-1].add(path.name)
        return read_radiograph(path)

    monkeypatch.setattr("dev.gate.check.train", train)
    monkeypatch.setattr("dev.gate.check.read_radiograph", read)
    shares = dict(cross_validate(pictures, 1, lambda *_: None))
    assert len(learned) == 3
    assert all(not seen & own for seen, own in zip(learned, judged, strict=True))
    assert set().union(*judged) == {path.name for path in paths}
    assert not any(MISLAID[0] in seen for seen in learned)
    assert shares["mislaid by NIH, flagged"].total == 1
    assert {share.total for name, share in shares.items() if "mislaid" not in name} == {7}


def test_the_interval_is_the_exact_one():
    # 0 of n: the upper bound solves (1 - p)^n = 0.025.
    assert f"({0:.2%} to {1 - 0.025 ** (1 / 40):.2%})" in str(Share(0, 40))


# --- real radiographs ------------------------------------------------------------------------


def test_at_most_one_real_radiograph_in_a_hundred_is_flagged(held_out):
    assert len(held_out) > 400
    assert share(verdicts(held_out), {FINE}) >= 0.99


@pytest.mark.parametrize("name", WRONG)
def test_nine_real_radiographs_in_ten_are_caught_when_they_are_wrong(held_out, test_list, name):
    wrong, kind = WRONG[name]
    for pictures in (held_out[::8], test_list):  # `dev.gate --check` counts all of them
        assert share(verdicts([wrong(picture) for picture in pictures]), {kind}) >= 0.9


def test_a_radiograph_that_nih_stores_inverted_is_told_so(nih):
    picture = read_radiograph(nih.paths["00017999_000.png"])  # not learned from
    assert judge(picture).kind == INVERTED
    assert judge(as_radiograph(255 - picture.as_uint8())).fine


@with_odd
@pytest.mark.parametrize(
    ("files", "count", "kind"),
    [("rotated/*.png", 6, SIDE), ("not_chest/photo*", 12, ELSE), ("not_chest/ct*", 6, ELSE)],
)
def test_real_odd_pictures_are_told_so(files, count, kind):
    judged = [judge(read_radiograph(path)) for path in sorted(ODD.glob(files))]
    assert len(judged) == count
    assert share(judged, {kind}) >= 0.9


@with_odd
def test_eight_of_nine_real_side_views_are_named():
    judged = [judge(read_radiograph(path)) for path in sorted((ODD / "lateral").glob("*.png"))]
    assert len(judged) == 9
    assert sum("side view" in verdict.message for verdict in judged) >= 8


@with_odd
def test_radiographs_of_other_hospitals_pass_but_a_scout_and_the_side_view_among_them():
    judged = {
        path.name: judge(read_radiograph(path)) for path in (ODD / "other_hospitals").iterdir()
    }
    assert len(judged) == 40
    # Filed with the frontal ones, yet it shows a chest from its side.
    assert "side view" in judged.pop("pneumocystis-jiroveci-pneumonia-4-L.png").message
    flagged = {name for name, verdict in judged.items() if not verdict.fine}
    # A scout picture of a CT: arms up, a small chest in a broad black border.
    assert flagged <= {"covid-19-pneumonia-8.png"}


@with_odd
def test_pixels_wrongly_declared_monochrome1_seem_inverted_and_the_others_pass():
    judged = {path.stem: judge(read_radiograph(path)) for path in (ODD / "dicom").glob("*.dcm")}
    assert judged.pop("chest_pa_monochrome1_jpeg").kind == INVERTED
    assert [verdict.fine for verdict in judged.values()] == [True, True]
