"""Scores of a network over a data set, with their facts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from chexnet import compute
from chexnet.data.formats import DataRequest
from chexnet.data.loader import AnyDataSet, batch_loader, default_workers
from chexnet.errors import ChexnetError, ConfigError, LeakError
from chexnet.evaluation.calibration import ValidationChoices, fit_on, validation_choices
from chexnet.evaluation.holdout import Holdout, Seen, open_holdout
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.metrics import sigmoid
from chexnet.evaluation.scores import Scores, as_targets
from chexnet.transforms import network_inputs


def score(
    model: nn.Module,
    data: AnyDataSet,
    *,
    batch_size: int | None = None,
    workers: int = 0,
    flip: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Score every image of `data`.

    Under torchrun each rank scores its share, unpadded, and all get the whole.

    Args:
        model: on the device that shall compute; put into eval mode here.
        data: the images.
        batch_size: images at once on each process, None for `batch_size_on` the device; no figure
            depends on it.
        workers: processes that read.
        flip: also show every picture mirrored, and average the two probabilities.
        on_progress: called with this process's images done and in all.
        stop: asked after each batch.

    Returns:
        The scores, or None when it was asked to stop.

    Raises:
        ChexnetError: an answer is not a finite number.
    """
    model.eval()
    device = next(model.parameters()).device
    share = compute.rank_indices(len(data))
    size = batch_size or batch_size_on(device)
    batches = [share[start : start + size] for start in range(0, len(share), size)]
    logits: list[torch.Tensor] = []  # on the device: reading each batch would make a GPU wait
    done, stopped = 0, False
    loader = batch_loader(data, batches, workers, pin=device.type == "cuda")
    with torch.inference_mode():
        for images, _, _ in loader:
            inputs = network_inputs(images, data.preprocessing, device)
            views = (inputs, inputs.flip(-1)) if flip else (inputs,)
            logits.append(torch.cat([model(view) for view in views], 1).float())
            done += len(images)
            if on_progress:
                on_progress(done, len(share))
            if stop():
                stopped = True
                break
    if compute.any_rank(stopped):
        return None
    width = (1 + flip) * len(data.classes)
    part = torch.cat(logits).cpu().numpy() if logits else np.empty((0, width), np.float32)
    whole = compute.gather_rows(part, len(data))
    if not np.isfinite(whole).all():
        raise ChexnetError(
            "The network's answers are not finite numbers. Train it again with a lower --lr."
        )
    return Scores(
        images=data.images,
        patients=data.patients,
        classes=list(data.classes),
        probabilities=sigmoid(whole).reshape(len(whole), 1 + flip, -1).mean(axis=1),
        targets=as_targets(data.targets),
    )


def batch_size_on(device: torch.device) -> int:
    """Images to score at once: enough to fill a GPU, few on a CPU, whose caches are small."""
    return 256 if device.type == "cuda" else 32


@dataclass(frozen=True)
class Scored:
    """Scores of one part.

    Attributes:
        scores: as the network gave them, before calibration.
        facts: what they are of.
        notes: sentences that a user should read.
        table: see `DataFolder.table`.
        chosen: calibration and thresholds that validation chose, None where there are none.
        networks: what was scored, each opened; none for a file of predictions.
    """

    scores: Scores
    facts: ScoringInfo
    notes: list[str]
    table: pd.DataFrame
    chosen: ValidationChoices | None = None
    networks: tuple[Holdout, ...] = ()

    @property
    def stamps(self) -> list[str]:
        """What the figures of a network from elsewhere must not be shown without."""
        return self.facts.stamps(calibrated=self.chosen is not None)


def score_weights(
    request: DataRequest,
    weights: Path,
    part: str,
    *,
    seen: Seen = "refuse",
    flip: bool = False,
    **options: Any,
) -> Scored:
    """Run a network over one part of a data folder.

    Args:
        request: see `open_holdout`; so are weights, part and seen.
        weights: a weights file.
        part: `val`, `test` or `all`.
        seen: what becomes of images that it was trained on.
        flip: average over the picture and its mirror image.
        options: further arguments of `score_holdout`.

    Raises:
        ChexnetError: no weights, no data, or the network was trained on these images or patients.
    """
    holdout = open_holdout(request, weights, part, seen=seen)
    scores = score_holdout(holdout, flip=flip, **options)
    facts = replace(holdout.facts, tta="flip" if flip else "none")
    table = holdout.datamodule.folder.table
    # What was chosen without the mirror image does not fit the averages.
    choices = None if flip else validation_choices(holdout.metadata)
    return Scored(scores, facts, holdout.datamodule.notes, table, choices, (holdout,))


def score_holdout(
    holdout: Holdout, *, device: str = "auto", workers: int = -1, **options: Any
) -> Scores:
    """Run a network over what was opened for it.

    Args:
        holdout: the network and the images.
        device: see `compute.pick_device`.
        workers: processes that read; -1 chooses.
        options: further arguments of `score`.

    Raises:
        ChexnetError: no image of the part is here, or an answer is no finite number.
    """
    chosen, data = compute.pick_device(device), holdout.data_set
    with compute.process_group(chosen):
        model = compute.to_device(holdout.model, chosen, data.preprocessing.size)
        readers = workers if workers >= 0 else default_workers(data)
        scores = score(model, data, workers=readers, **options)
    if scores is None:
        raise ChexnetError("Scoring was stopped before its end.")
    return scores


def score_networks(
    request: DataRequest, weights: Sequence[Path], part: str, *, flip: bool = False, **options: Any
) -> Scored:
    """Run one network, or average the probabilities of several.

    With several networks, or mirrored pictures, calibration and thresholds are chosen anew, on the
    validation part scored in the same way; one network alone keeps what its file has.

    Args:
        request: see `score_weights`; so are part, flip and the options.
        weights: at least one weights file.
        part: `val`, `test` or `all`.
        flip: average over the picture and its mirror image.
        options: further arguments of `score_weights`.

    Raises:
        ChexnetError: see `score_weights`; or the networks have other classes or other splits.
    """
    scored = [score_weights(request, w, part, flip=flip, **options) for w in weights]
    average = _average(scored)
    if average.chosen or part == "all" or (len(scored) == 1 and not flip):
        return average
    unchosen = ""
    if average.facts.external:
        unchosen = (
            "Thresholds of an average are chosen on the validation part of the networks' own data, "
            "which these images are not of: nothing is calibrated."
        )
    elif part == "test" and len({str(each.facts.fold) for each in scored}) > 1:
        unchosen = "Networks of several folds share no validation image: nothing is calibrated."
    val = average
    if part == "test" and not unchosen:
        try:
            val = _average(
                [score_weights(request, w, "val", flip=flip, **options) for w in weights]
            )
        except LeakError:  # a network from elsewhere, trained on this validation part
            unchosen = "The networks have seen the validation part: nothing is calibrated."
    if unchosen:
        return replace(average, notes=[*average.notes, unchosen])
    source = f"{len(val.scores.images):,} validation images, scored in the same way"
    return replace(average, chosen=fit_on(val.scores, source))


def _average(scored: list[Scored]) -> Scored:
    first = scored[0]
    if len(scored) == 1:
        return first
    for other in scored[1:]:
        if other.scores.classes != first.scores.classes:
            raise ConfigError(
                "The weights files have other classes: found "
                f"{', '.join(other.scores.classes)}, expected {', '.join(first.scores.classes)}."
            )
        if other.scores.images != first.scores.images:
            raise ConfigError(
                "The weights files come of other splits, so they have no part in common that none "
                "of them has seen. Average networks that were trained on the same split."
            )
    facts = replace(
        first.facts,
        leaky=any(each.facts.leaky for each in scored),
        ensemble=[each.facts.weights for each in scored if each.facts.weights],
    )
    mean = np.mean([each.scores.probabilities for each in scored], axis=0)
    return replace(
        first,
        scores=replace(first.scores, probabilities=mean),
        facts=facts,
        notes=list(dict.fromkeys(note for each in scored for note in each.notes)),
        chosen=None,
        networks=tuple(network for each in scored for network in each.networks),
    )
