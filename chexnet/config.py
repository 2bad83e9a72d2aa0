"""The configuration of one training run: every default stands here and nowhere else.

No torch is imported, so that a command's --help is quick.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from chexnet.errors import ConfigError

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    # Long cosine, averaged weights and RandAugment-style augmentation: levers that took
    # DenseNet-121 from 0.80 to 0.82 on the official test list (Xiao et al., WACV 2023).
    # docs/recipe.md says what was compared here.
    "strong": {
        "epochs": 75,
        "batch_size": 32,
        "lr": 1e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 5.0,
        "augment": "strong",
        "ema_decay": 0.999,
    },
}
DEVICE_HELP = "auto (cuda, else cpu), cpu, cuda or mps (Apple GPU; not tried)."
CHOICES = {
    "recipe": tuple(RECIPES),
    "labels": ("auto", "2017", "v2020"),
    "split": ("auto", "official", "patient", "image"),
    "schedule": ("constant", "cosine"),
    "augment": ("none", "strong"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "precision": ("auto", "bf16", "fp16", "fp32"),
    "resident": ("auto", "on", "off"),
}
BF16 = {"auto": "auto", "on": "bf16", "off": "fp32"}
"""What `--bf16` of earlier releases, and the `bf16` in their checkpoints, is as a precision."""
NOT_NUMERICAL = (
    *("data", "out", "packs", "workers", "resident", "save_every", "save_minutes"),
    # Images and labels are compared by their fingerprints, wherever the table lies.
    *("table", "format", "mapping", "uncertain"),
)
"""Fields that change no number of a run: they may differ when it is resumed."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run. An annotation is the option's help text."""

    data: Annotated[Path, "Folder that holds images_001 ... and Data_Entry_2017.csv."]
    out: Annotated[Path, "Folder of this run."] = Path("runs/default")
    packs: Annotated[Path, "Folder of the packs that scripts.prepare makes."] = Path("packs")
    table: Annotated[Path | None, "Label table of the images; else NIH's own in --data."] = None
    format: Annotated[str, "Of --table: nih, csv, chexpert, vinbigdata ..."] = "nih"
    mapping: Annotated[
        Path | None, "With --format csv: TOML that says which column is which label."
    ] = None
    uncertain: Annotated[
        str, "What an uncertain label counts as: ignore, positive or negative."
    ] = "ignore"
    recipe: Annotated[str, "Set of defaults: plain or strong."] = "plain"
    labels: Annotated[str, "NIH label table: auto, 2017 or v2020."] = "auto"
    split: Annotated[
        str, "auto (official lists if present, else patient), official, patient or image."
    ] = "auto"
    allow_leak: Annotated[
        bool, "Allow a split with the same patient on both sides; every output is stamped LEAKY."
    ] = False
    folds: Annotated[int, "Validate on one of this many parts of the patients; 0: a tenth."] = 0
    fold: Annotated[int, "Which of the --folds parts validates, from 1."] = 1
    init: Annotated[
        str, "Start from: imagenet, timm (the same from the Hub), none (random) or a weights file."
    ] = "imagenet"
    epochs: Annotated[int, "Epochs over the training images."] = 10
    batch_size: Annotated[int, "Images an optimiser step, over all processes together."] = 12
    accumulate: Annotated[int, "Parts in which a batch is computed, to save memory."] = 1
    lr: Annotated[float, "AdamW's (highest) learning rate."] = 1e-4
    weight_decay: Annotated[float, "AdamW's weight decay."] = 1e-4
    schedule: Annotated[str, "Learning rate over the run: constant or cosine."] = "constant"
    warmup_epochs: Annotated[float, "Epochs over which the learning rate rises from zero."] = 0.0
    augment: Annotated[str, "Augmentation of training images: none or strong."] = "none"
    ema_decay: Annotated[float, "Decay of averaged weights, 0 for none (0.999 is usual)."] = 0.0
    crop: Annotated[int, "Percent of each side that the centre crop keeps."] = 90
    size: Annotated[int, "Side of the square input in pixels."] = 256
    freeze_bn: Annotated[bool, "Keep BatchNorm's running statistics as they are."] = False
    precision: Annotated[
        str, "auto (what the GPU computes in: bf16, else fp16; on a CPU fp32), bf16, fp16 or fp32."
    ] = "auto"
    device: Annotated[str, DEVICE_HELP] = "auto"
    seed: Annotated[int, "Seed of split, order, augmentation and random weights."] = 0
    workers: Annotated[int, "Processes that read images; -1 chooses."] = -1
    resident: Annotated[
        str,
        "Hold the pack on the training device: auto (on CUDA, where train and val fit in half of "
        "the free memory), on (any device) or off.",
    ] = "auto"
    save_minutes: Annotated[float, "Minutes between checkpoints within an epoch."] = 10.0
    save_every: Annotated[int, "Also a checkpoint after each so many steps; 0: by time only."] = 0
    deterministic: Annotated[
        bool, "Deterministic algorithms on CUDA: slower; a CPU has no others."
    ] = False
    compile: Annotated[bool, "Train through torch.compile, which needs a C compiler."] = False

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out.

        Raises:
            ConfigError: names the option, what was found and what was expected.
        """
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, getattr(self, name), "one of " + ", ".join(choices))
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "at least 1")
        for name in ("weight_decay", "warmup_epochs", "seed", "save_every", "save_minutes"):
            if not getattr(self, name) >= 0:
                _refuse(name, getattr(self, name), "at least 0")
        if not 0 < self.lr < float("inf"):
            _refuse("lr", self.lr, "a number above 0")
        if not 0 <= self.ema_decay < 1:
            _refuse("ema_decay", self.ema_decay, "0 to below 1")
        if not 1 <= self.crop <= 100:
            _refuse("crop", self.crop, "1 to 100 percent")
        if self.folds and not 2 <= self.folds <= 100:
            _refuse("folds", self.folds, "2 to 100, or 0")
        if not 1 <= self.fold <= max(self.folds, 1):
            _refuse("fold", self.fold, f"1 to {self.folds}" if self.folds else "1 without --folds")
        if not 64 <= self.size <= 1024:
            # DenseNet halves five times; below 64 pixels BatchNorm meets single values.
            _refuse("size", self.size, "64 to 1024 pixels")
        if self.batch_size % self.accumulate:
            _refuse("accumulate", self.accumulate, f"a divisor of --batch-size {self.batch_size}")
        if self.split == "image" and not self.allow_leak:
            raise ConfigError(
                "--split image puts most held-out images' patients into training as well, so its "
                "figures are too good. Use --split patient, or pass --allow-leak to have them "
                "stamped LEAKY."
            )

    @classmethod
    def from_recipe(cls, given: dict[str, Any]) -> "TrainConfig":
        """Build a configuration from the options a user gave; the recipe fills in the others.

        Args:
            given: field names to values; may name a `recipe`, and an earlier release's `bf16`.

        Raises:
            ConfigError: an unknown recipe or an impossible value.
        """
        recipe = given.get("recipe", "plain")
        if recipe not in RECIPES:
            _refuse("recipe", recipe, "one of " + ", ".join(RECIPES))
        if "bf16" in given:
            if "precision" in given or given["bf16"] not in BF16:
                _refuse("bf16", given["bf16"], f"one of {', '.join(BF16)} and no --precision")
            before = given["bf16"]
            given = {name: value for name, value in given.items() if name != "bf16"}
            given["precision"] = BF16[before]
        return cls(**(RECIPES[recipe] | given))

    def numerical_options(self) -> dict[str, Any]:
        """The fields that decide the numbers of the run, as plain values."""
        fields = dataclasses.asdict(self)
        kept = {name: v for name, v in fields.items() if name not in NOT_NUMERICAL}
        if kept["init"] not in ("imagenet", "none"):
            kept["init"] = Path(kept["init"]).name  # a folder of this machine is nobody's business
        return kept


def _refuse(name: str, value: object, expected: str) -> None:
    option = "--" + name.replace("_", "-")
    raise ConfigError(f"{option}: found {value!r}, expected {expected}.")
