"""What is said of a scoring beside its tables, on the terminal, page and card alike."""

from chexnet.data.nih import TABLES
from chexnet.data.splits import LEAKY
from chexnet.evaluation.info import STAMPS, ScoringInfo
from chexnet.evaluation.intervals import minimum_detectable, read_interval
from chexnet.evaluation.report.render import format_interval, format_value
from chexnet.evaluation.scores import Figures
from chexnet.labels import FINDINGS, spoken
from chexnet.metadata import DataInfo

CLUSTERED = (
    "Clustered: Obuchowski's interval by patient, for findings with under ten positive patients, "
    "where the bootstrap's is too narrow; read this one."
)
DETECTABLE = (
    "Detectable: the minimum detectable difference, the smallest true one that such images show in "
    "four trials of five (80 % power)."
)
_OF_PHANTOMS = (
    "The pictures are drawn: every finding has one cause, one look and a certain label. A high "
    "figure says that the way from pictures to figures works, and nothing about patients."
)
_OF_BOTH = (
    "Some of the pictures are drawn, with certain labels, and some are not: figures of the two "
    "together are figures of neither."
)
_OF_NIH = (
    "The labels of ChestX-ray14 were mined from radiology reports by a program. Nobody read the "
    "pictures for them, many are wrong, and No Finding says only that no report named one of 14.",
    "All radiographs come from one hospital, the NIH Clinical Center, a research hospital whose "
    "patients are unlike those of others. Another hospital, another machine or another way of "
    "imaging can make every figure worse, and nothing here shows by how much.",
)
_OF_OTHERS = (
    "Where the radiographs were taken, and who labelled them how, the table does not say. Another "
    "hospital, another machine or another way of labelling can make every figure worse."
)
_ALWAYS = (
    "The intervals say how the figures would differ had other patients of the same kind been "
    "drawn. They do not cover other hospitals, other seeds of training or errors of the labels.",
    "Many rows and groups are looked at side by side: some figure is remarkable by chance alone.",
    "Sex, age and view are what the table holds. How the network does by anything that the table "
    "does not hold, nobody can tell from it.",
    "No reader, no patient and no decision was part of this. An AUROC is no claim that the network "
    "helps anybody, and none is made.",
)


def facts_text(facts: DataInfo | ScoringInfo | Figures) -> str:
    """What was scored or trained on, in a few sentences; of `Scored` or of `DataModule`."""
    about = facts if isinstance(facts, ScoringInfo) else ScoringInfo.of_data(facts)
    sentences = []
    if about.leaky:
        sentences.append(f"{LEAKY}: trained and scored on the same patients; too good to be true.")
    if about.images_present is not None:
        left_out = about.images_unreadable
        sentences.append(
            f"{about.images_present:,} of {about.images_in_table:,} images of "
            f"{about.table} (labels: {about.label_version}) are here"
            + (f", {left_out:,} of them left out as unreadable." if left_out else ".")
        )
    else:
        sentences.append(f"Labels: {about.table} ({about.label_version}).")
    if about.copy:
        sentences.append(f"Pictures: {about.copy}; its figures are not figures on NIH's originals.")
    counts = ", ".join(f"{part} {count:,}" for part, count in (about.images or {}).items())
    sentences.append(f"Split: {about.split}" + (f" ({counts})." if counts else "."))
    if about.weights and about.weights.imported:
        weights = about.weights
        sentences.append(
            f"Weights: {weights.file}, from elsewhere ({weights.origin}); trained on: "
            f"{weights.trained_on}."
        )
    elif about.weights:
        weights = about.weights
        sentences.append(
            f"Weights: {weights.file}, {weights.epoch} epochs on {weights.trained_on} "
            f"({weights.train_fingerprint}), begun from {weights.origin}."
        )
    if about.ensemble:
        names = ", ".join(weights.file for weights in about.ensemble)
        sentences.append(f"Probabilities averaged over {len(about.ensemble)} networks: {names}.")
    if about.tta == "flip":
        sentences.append("Averaged over each picture and its mirror image.")
    if about.part:
        sentences.append(f"Scored: {about.part}.")
    if about.clean_of is not None:
        sentences.append(
            f"The clean rest of it: {(about.images or {}).get(about.part, 0):,} of "
            f"{about.clean_of:,} images, of which neither image nor patient was seen."
        )
    return " ".join(sentences)


def meaning(stamp: str) -> str:
    """What a stamp of a network means."""
    return "Patients stood on both sides when it was trained." if stamp == LEAKY else STAMPS[stamp]


def above_chance(figures: Figures) -> str:
    """Which findings are better than chance, in a sentence that holds for all of them at once.

    Args:
        figures: of one scoring, as `plain` of a `Summary` gives them.

    Returns:
        Empty for figures without intervals, and for those of before there was such a test.
    """
    classes = figures["classes"]
    tested = {name: row.get("p_of_chance_holm") for name, row in classes.items()}
    if not any("p_of_chance_holm" in row for row in classes.values()):
        return ""
    adjusted = {name: p for name, p in tested.items() if p is not None}
    if not adjusted:
        return "Above 0.5: no finding has five positive and five negative patients to tell by."
    above = [name for name, p in adjusted.items() if p < 0.05 and classes[name]["auroc"] > 0.5]
    groups = {
        f"Above 0.5 at 5 %, corrected for {len(adjusted)} findings at once (Holm; p by clustered "
        "variance)": above or ["none"],
        "Not shown for": [name for name in adjusted if name not in above],
        "Under five patients with or without it, so not tested": [
            name for name in classes if name in FINDINGS and name not in adjusted
        ],
    }
    return " ".join(
        f"{what}: {', '.join(sorted(map(spoken, names)))}."
        for what, names in groups.items()
        if names
    )


def about_intervals(figures: Figures, replicates: int) -> str:
    """How the intervals of a table were drawn, and which draws could not be used."""
    left_out = [
        f"{spoken(name)} {row['interval']['draws_left_out']:,}"
        for name, row in sorted(figures["classes"].items())
        if row.get("interval") and row["interval"]["draws_left_out"]
    ]
    text = (
        f"Intervals: {replicates:,} bootstrap draws of patients, n/a with fewer than five positive "
        "or negative patients"
    )
    if left_out:
        text += f"; draws without a positive or a negative, left out: {', '.join(left_out)}"
    mean = figures["mean_auroc"]["findings"].get("interval")
    if mean and mean["draws_left_out"]:
        text += f"; {mean['draws_left_out']} draws average fewer findings"
    return f"{text}."


def clustered(figures: Figures) -> str:
    """What the clustered intervals are; empty where no class has one."""
    intervals = (row.get("clustered_interval") for row in figures["classes"].values())
    return CLUSTERED if any(read_interval(interval).known for interval in intervals) else ""


def largest_gap(gap: Figures | None, digits: int = 3) -> str:
    """Between two groups of patients.

    Args:
        gap: as `metrics.json` holds it.
        digits: of its figures.
    """
    if gap is None:
        return (
            "No two groups share half of the findings with 5 positive and 5 negative patients "
            "each: no gap is named."
        )
    return (
        f"Largest gap: by {gap['attribute']}, {gap['better']} over {gap['worse']} by "
        f"{format_value(gap['mean_auroc_difference'], digits)} in mean AUROC "
        f"({format_interval(gap['interval'], digits, between=' to ')}; {gap['findings']} findings "
        "with enough patients in both). The minimum detectable gap of such groups is "
        f"{detectable(gap['interval'], digits)} (80 % power). Picked as the largest, so its "
        "interval is optimistically biased as a test."
    )


def detectable(interval: Figures | None, digits: int = 3) -> str:
    """The minimum detectable difference of data that gave such an interval."""
    return format_value(minimum_detectable(read_interval(interval)), digits)


def about_tables(labels: Figures, scored: int) -> list[str]:
    """What differs between NIH's two tables; of `both_tables`, of so many scored images."""
    early, late = TABLES
    differ, both = labels["images_that_differ"], labels["images_in_both"]
    changes = ", ".join(
        f"{name} +{added:,}{f' -{removed:,}' if removed else ''}"
        for name, (added, removed) in labels["labels_added_and_removed_by_v2020"].items()
    )
    ages = labels["without_a_possible_age"].items()
    sentences = [
        f"Labels that differ between NIH's two tables: {differ:,} of {both:,} images"
        f"{f' in both ({scored:,} scored)' if both < scored else ''}.",
        f"From {early} to {late}: {changes}." if changes else "",
        f"Follow-up numbers differ in {labels['follow_up_numbers_that_differ']:,} images and ages "
        f"in {labels['ages_that_differ']:,}; images without a possible age (0 to 120 years), "
        f"counted as unknown: {', '.join(f'{version} {count:,}' for version, count in ages)}.",
    ]
    return [sentence for sentence in sentences if sentence]


def limits(figures: Figures, facts: ScoringInfo) -> list[str]:
    """What the figures of a scoring cannot say, the most particular first.

    Args:
        figures: as `plain` of a `Summary` gives them.
        facts: see `Scored.facts`.
    """
    said = []
    if facts.leaky:
        said.append(
            "These figures leak: patients stand on both sides. They say nothing about patients "
            "that the network has not seen."
        )
    if facts.part == "val":
        said.append(
            "The validation part chose the weights, the calibration and the thresholds, so that "
            "its own figures are optimistically biased."
        )
    if facts.external:
        said.append(
            "The pictures are of another data set than the network was trained on. Its labels were "
            "given in another way and for other questions (see the mapping): a lower figure may be "
            "the network's or the labels'."
        )
    if (facts.split == "none" or facts.part == "all") and not facts.external:
        said.append("Scored without a split: these images are the test list of nothing.")
    if facts.predictions:
        said.append(
            "Only a file of predictions was scored. What its network was trained on, and how often "
            "it was tried on these images, nobody can tell from it."
        )
    if facts.clean_of is not None:
        here = (facts.images or {}).get(facts.part, 0)
        said.append(
            f"Only the clean rest was scored: {here:,} of {facts.clean_of:,} images of the "
            f"{facts.part} part, those of which the network has seen neither image nor patient. It "
            "is another sample than the part: figures of the two are not comparable."
        )
    said += selected(facts)
    drawn = [row["interval"] for row in figures["classes"].values() if "interval" in row]
    rare = [interval for interval in drawn if not read_interval(interval).known]
    if rare:
        said.append(
            f"Rows without an interval ({len(rare)} of {len(drawn)}) have too few patients to "
            "estimate anything by."
        )
    if facts.phantoms:
        said.append(_OF_PHANTOMS if facts.all_drawn else _OF_BOTH)
    elif facts.label_mapping:
        said.append(facts.label_mapping["labelled_by"])
    else:
        said += _OF_NIH if facts.of_nih else [_OF_OTHERS]
    return [*said, *_ALWAYS]


def selected(facts: ScoringInfo) -> list[str]:
    """A sample that somebody selected is not the data set, and neither is a part of a part."""
    pairs = (
        (facts.images_present, facts.images_in_table, "the label table"),
        (facts.images_of_part, facts.images_in_part, f"the {facts.part} part"),
    )
    return [
        f"Only {here:,} of the {whole:,} images of {of} were at hand. Which ones was "
        "somebody's choice: the figures are of that selection, not of the data set."
        for here, whole, of in pairs
        if here is not None and whole is not None and here < whole
    ]
