"""What a run knows of the items of a reporting checklist, a sentence or two each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.expert_figures import ExpertFigures
from chexnet.evaluation.experts import CITED, TITLES
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report.limits import selected
from chexnet.evaluation.report.tables import above_chance, facts_text, format_interval, format_value
from chexnet.evaluation.subgroups import UNKNOWN
from chexnet.evaluation.truths import BothTables
from chexnet.labels import FINDINGS, spoken
from chexnet.metadata import Metadata

_TRAINING = (
    *("recipe", "epochs", "batch_size", "lr", "weight_decay", "schedule", "warmup_epochs"),
    *("augment", "ema_decay", "seed"),
)
"""Fields of `TrainConfig` that a checklist asks for."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One scoring, as `write_report` has it.

    Attributes:
        assessment: see `assess`.
        facts: see `Scored.facts`.
        made: see `surroundings`.
        metadata: of the network's weights file; None for a file of predictions.
        experts: see `score_experts`.
        both: see `both_tables`.
        compared: published values stand beside figures of this run.
        boxes: heatmaps were compared with boxes.
    """

    assessment: Assessment
    facts: ScoringInfo
    made: Mapping[str, Any] = field(default_factory=dict)
    metadata: Metadata | None = None
    experts: Sequence[ExpertFigures] = ()
    both: BothTables | None = None
    compared: bool = False
    boxes: bool = False


def run_facts(run: Run) -> dict[str, str]:
    """Every fact that `checklists.toml` may name; empty where this run does not know it."""
    return {
        **_data(run),
        **_reference_standard(run),
        **_partitions(run),
        **_network(run),
        **_evaluation(run),
        **_results(run),
    }


def _data(run: Run) -> dict[str, str]:
    facts, summary = run.facts, run.assessment.summary
    unknown = sum(
        groups[UNKNOWN].images if UNKNOWN in groups else 0
        for groups in run.assessment.subgroups.groups.values()
    )
    undefined = [spoken(n) for n, v in zip(summary.classes, summary.auroc, strict=True) if v != v]
    missing = []
    if facts.images_unreadable is not None:
        missing.append(f"Left out as unreadable: {facts.images_unreadable:,} images.")
    missing.append(
        "Sex, age or view that the table does not tell is a group of its own"
        + (f" ({unknown:,} values)." if unknown else " (none here).")
    )
    if not summary.all_labelled:
        missing.append(
            "Labels that the table does not say are unknown and left out; how many images are "
            "labelled stands beside each finding."
        )
    if undefined:
        missing.append(
            "Without a positive or without a negative, so without an AUROC and left out of means: "
            f"{', '.join(undefined)}."
        )
    if not summary.all_labelled:
        missing.append(
            "A class of which the table says nothing is unknown for that image, not negative, and "
            "left out of that class's figures."
        )
    counts = [
        f"{attribute}: " + ", ".join(f"{name} {one.images:,}" for name, one in groups.items())
        for attribute, groups in run.assessment.subgroups.groups.items()
    ]
    return {
        "data": facts_text(facts),
        "setting": "All radiographs come from one hospital, the NIH Clinical Center."
        if facts.of_nih
        else "",
        "selection": " ".join(selected(facts)),
        "missing": " ".join(missing),
        "participants": f"{summary.images:,} images of {summary.patients:,} patients were scored; "
        "positive images of each finding: section AUROC.",
        "characteristics": f"Images by {'; '.join(counts)}." if counts else "",
        "size": f"{summary.images:,} images of {summary.patients:,} patients. Every comparison "
        "says the smallest true difference that its images would show at 80 % power.",
    }


def _reference_standard(run: Run) -> dict[str, str]:
    labels = ""
    if run.facts.all_drawn:
        labels = "Drawn phantoms: their labels are certain, for they were drawn by them."
    elif run.facts.label_mapping:
        mapping = run.facts.label_mapping
        labels = (
            f"{mapping['title']} ({run.facts.table}): {mapping['labelled_by'].rstrip('.')}. How "
            "its labels became those scored here: section Whose labels, and what they count as."
        )
    elif run.facts.of_nih:
        labels = (
            f"NIH's text labels ({run.facts.table}), mined from radiology reports by a program "
            "(Wang et al., CVPR 2017); nobody read the pictures for them."
        )
    groups = [
        f"{TITLES[one.labels.key]} ({CITED[one.labels.key]}), "
        f"{len(one.labels.answers) - one.outside:,} of these images"
        for one in run.experts
    ]
    return {
        "labels": labels,
        "experts": f"Radiologists' labels beside them: {'; '.join(groups)}." if groups else "",
        "agreement": "Of readers: not known. The text label against radiologists, with "
        "sensitivity, specificity, PPV and NPV: section Against radiologists."
        if any(row.text for one in run.experts for row in one.rows)
        else "",
    }


def _partitions(run: Run) -> dict[str, str]:
    facts, metadata = run.facts, run.metadata
    how = {
        "official": "NIH's official lists; validation cut from train_val by patient",
        "patient": f"at random by patient (seed {facts.split_seed})",
        "image": f"at random by image (seed {facts.split_seed})",
    }.get(facts.split, "")
    sizes = ", ".join(f"{part} {count:,}" for part, count in (facts.images or {}).items())
    disjoint = ""
    if facts.leaky:
        disjoint = (
            "Not by patient: patients stand, or may stand, on both sides. These figures leak."
        )
    elif facts.weights:
        disjoint = (
            "By patient: neither an image nor a patient that was scored is on the network's list "
            f"of training images ({facts.weights.trained_on}), compared by hashes."
        )
    numbers = internal = external = ""
    if facts.external and facts.weights:
        external = (
            f"Scored on {_titled(run)}, another data set than the network was trained on "
            f"({facts.weights.trained_on}): section AUROC."
        )
    if metadata and metadata.provenance.get("data"):
        images = metadata.data.images
        numbers = (
            f"Trained on {images.get('train', 0):,} images, validated on {images.get('val', 0):,} "
            f"(epoch, calibration and thresholds), scored on {run.assessment.summary.images:,}."
        )
        if facts.part == "test" and facts.table == metadata.data.table:
            internal = (
                "The test part of the data set that the network was trained on: section AUROC. "
                "Its validation figures stand in the weights file."
            )
    return {
        "partition": f"{how[0].upper()}{how[1:]}{f' ({sizes} images)' if sizes else ''}."
        if how
        else "",
        "disjoint": disjoint,
        "numbers": numbers,
        "internal": internal,
        "external": external,
    }


def _titled(run: Run) -> str:
    mapping = run.facts.label_mapping
    return str(mapping["title"]) if mapping else "NIH ChestX-ray14"


def _network(run: Run) -> dict[str, str]:
    facts, metadata, summary = run.facts, run.metadata, run.assessment.summary
    members = [one.file for one in facts.ensemble or ()]
    averaging = []
    if members:
        averaging.append(
            f"Probabilities averaged over {len(members)} networks, {', '.join(members)}."
        )
    if facts.tta == "flip":
        averaging.append("Averaged over each picture and its mirror image.")
    if facts.weights and not averaging:
        averaging.append("One network, each picture shown once.")
    found = {
        "averaging": " ".join(averaging),
        "predictions": f"Read from {facts.predictions}; how they were computed, nobody can tell "
        "from it."
        if facts.predictions
        else "Sigmoid of the network's logits, then Platt scaling where there is a calibration "
        "(scripts.eval; scripts.predict for new pictures).",
        "code": f"Figures: chexnet {run.made['code']}." if run.made.get("code") else "",
        "software": _software(run),
        "file": f"Weights file: {facts.weights.file}." if facts.weights else "",
        **dict.fromkeys(
            (
                "input",
                "preprocessing",
                "model",
                "initialisation",
                "training",
                "chosen",
                "imbalance",
            ),
            "",
        ),
    }
    if not metadata or members:
        return found
    seen, made = metadata.preprocessing, metadata.provenance
    cut = "the shorter side as a square" if seen.square else "each side"
    found["input"] = "Nothing but the picture's pixels."
    found["preprocessing"] = (
        f"The central {seen.crop:g} % of {cut}, resized ({seen.resample}) to {seen.size} x "
        f"{seen.size} pixels, gray as three channels, less mean {_listed(seen.mean)}, divided by "
        f"{_listed(seen.std)}."
    )
    found["model"] = (
        f"DenseNet-121 (convolutional network), its last layer linear with {len(summary.classes)} "
        f"outputs, a sigmoid each; input {seen.size} x {seen.size} pixels."
    )
    if metadata.from_elsewhere:
        picked = made.get("chosen_on")
        found["initialisation"] = f"Weights from elsewhere: {made.get('origin', 'not known')}."
        found["chosen"] = f"By its publisher; epoch chosen on: {picked}." if picked else ""
        return found
    config = made.get("config", {})
    found["initialisation"] = f"Begun from {made['origin']}." if made.get("origin") else ""
    if config:
        names = [n for n in _TRAINING if n in config]
        told = ", ".join(f"{name.replace('_', ' ')} {config[name]}" for name in names)
        found["training"] = f"AdamW on binary cross-entropy: {told}."
        found["chosen"] = (
            f"Epoch {made['epoch']} of {config['epochs']}: the greatest mean AUROC of the findings "
            "on the validation part."
        )
        found["imbalance"] = "No class was weighted and no image drawn more often in training."
    return found


def _software(run: Run) -> str:
    def told(made: Mapping[str, Any]) -> str:
        names = {"code": "chexnet", "python": "Python", "torch": "torch"}
        names["torchvision"] = "torchvision"
        return ", ".join(f"{name} {made[key]}" for key, name in names.items() if made.get(key))

    parts = [f"Scored with {told(run.made)}"] if run.made else []
    if run.metadata and not run.metadata.from_elsewhere:
        parts.append(f"trained with {told(run.metadata.provenance)}")
    return f"{'; '.join(parts)}." if parts else ""


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _evaluation(run: Run) -> dict[str, str]:
    found, summary = run.assessment, run.assessment.summary
    source = found.chosen.source if found.chosen else ""
    points = "; sensitivity, specificity, PPV, NPV and F1 at thresholds" if found.operating else ""
    uncertainty = ""
    if summary.intervals:
        uncertainty = (
            f"95 % intervals by {summary.replicates:,} bootstrap draws of patients; with under ten "
            "positive (negative) patients also Obuchowski's clustered interval, under five none. "
            f"{above_chance(summary)}"
        )
    return {
        "metrics": f"AUROC (exact), average precision, expected calibration error, Brier score"
        f"{points}; ROC and reliability plots.",
        "uncertainty": uncertainty,
        "published": "Beside published values of the same list of test images: section Beside what "
        "others published."
        if run.compared
        else "",
        "robustness": f"The figures by each of NIH's two label tables, "
        f"{' and '.join(run.both.files)}: section By each of NIH's label tables."
        if run.both
        else "",
        "heatmaps": "Grad-CAM of every class in closed form, against boxes that somebody drew: "
        "section Right answer, wrong place."
        if run.boxes
        else "",
        "output": (
            f"A probability for each of {len(summary.classes)} labels, calibrated by Platt scaling "
            f"on {source}."
            if source
            else f"A score for each of {len(summary.classes)} labels; nothing was calibrated."
        ),
        "thresholds": f"Thresholds of {len(found.operating)} rules were chosen on {source} and "
        "only applied here: section Operating points."
        if found.operating
        else "",
        "updating": f"None: calibration and thresholds were chosen on {source}, none on the scored "
        "images."
        if source
        else "None: nothing was calibrated or changed.",
    }


def _results(run: Run) -> dict[str, str]:
    found, summary = run.assessment, run.assessment.summary
    mean = summary.findings
    interval = summary.intervals.findings if summary.intervals else None
    groups, gap = found.subgroups.groups, found.subgroups.gap
    subgroups = ""
    if groups:
        subgroups = f"Figures by {', '.join(groups)}: section Subgroups."
    if gap:
        subgroups += (
            f" Largest gap: {gap.attribute} {gap.better} over {gap.worse} by "
            f"{format_value(gap.value)} in mean AUROC "
            f"({format_interval(gap.interval, between=' to ')})."
        )
    return {
        "performance": f"Mean AUROC of {mean.n_defined} of {len(FINDINGS)} findings "
        f"{format_value(mean.value)} (95 % interval {format_interval(interval)}); each finding: "
        "section AUROC; calibration: section Calibration.",
        "subgroups": subgroups,
        "operating": "Sensitivity, specificity, PPV, NPV and F1 with intervals, and the prevalence "
        "that they are for: section Operating points."
        if found.operating
        else "",
        "failures": "Section Most confident errors"
        + (", and section Right answer, wrong place." if run.boxes else "."),
        "limitations": "Section What the figures cannot say.",
    }
