from pathlib import Path

import pytest

from chexnet.config import TrainConfig
from chexnet.errors import ConfigError


def config(**given) -> TrainConfig:
    return TrainConfig(data=Path("nih"), **given)


def test_the_defaults_are_the_published_plain_recipe():
    plain = config()
    assert (plain.lr, plain.weight_decay, plain.batch_size, plain.epochs) == (1e-4, 1e-4, 12, 10)
    assert (plain.crop, plain.size, plain.init, plain.augment) == (90, 256, "imagenet", "none")
    assert plain == TrainConfig.from_recipe({"data": Path("nih")})


def test_a_given_option_beats_the_recipe():
    strong = TrainConfig.from_recipe({"data": Path("nih"), "recipe": "strong", "epochs": 3})
    assert strong.epochs == 3
    assert strong.augment == "strong"
    assert strong.ema_decay > 0


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"epochs": 0}, "--epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"lr": 0.0}, "--lr"),
        ({"lr": float("nan")}, "--lr"),
        ({"ema_decay": 1.0}, "--ema-decay"),
        ({"crop": 0}, "--crop"),
        ({"size": 32}, "--size"),
        ({"schedule": "linear"}, "--schedule"),
        ({"batch_size": 12, "accumulate": 5}, "--accumulate"),
        ({"seed": -1}, "--seed"),
        ({"split": "image"}, "--allow-leak"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(given, named):
    with pytest.raises(ConfigError, match=named):
        config(**given)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ConfigError, match="plain, strong"):
        TrainConfig.from_recipe({"data": Path("nih"), "recipe": "best"})


def test_fields_without_arithmetic_are_left_out_of_the_comparison():
    first = config(
        workers=0, out=Path("a"), save_every=5, save_minutes=1, resident="on"
    ).numerical_options()
    second = config(workers=8, out=Path("b"), save_every=9).numerical_options()
    assert first == second
    assert first != config(lr=2e-4).numerical_options()


def test_no_folder_of_the_machine_is_kept():
    kept = config(init="/home/someone/weights.pth").numerical_options()
    assert kept["init"] == "weights.pth"
    assert "data" not in kept


def test_the_bf16_of_earlier_releases_is_read_as_a_precision():
    for given, expected in {"auto": "auto", "on": "bf16", "off": "fp32"}.items():
        config = TrainConfig.from_recipe({"data": Path("nih"), "bf16": given})
        assert config.precision == expected
    for more in ({"bf16": "maybe"}, {"bf16": "on", "precision": "fp16"}):
        with pytest.raises(ConfigError, match="--bf16: found"):
            TrainConfig.from_recipe({"data": Path("nih"), **more})
