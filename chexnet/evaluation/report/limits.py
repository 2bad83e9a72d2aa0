"""What the figures of a scoring cannot say, in sentences for whoever reads them."""

from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.intervals import Interval

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


def limits(assessment: Assessment, facts: ScoringInfo) -> list[str]:
    """The sentences that hold for one scoring, the most particular first.

    Args:
        assessment: see `assess`.
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
            "its own figures are too hopeful."
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
    rare = [name for name, one in _intervals(assessment).items() if not one.known]
    if rare:
        said.append(
            f"Rows without an interval ({len(rare)} of {len(assessment.summary.classes)}) have too "
            "few patients: their figures are accidents."
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


def _intervals(assessment: Assessment) -> dict[str, Interval]:
    return assessment.summary.intervals.classes if assessment.summary.intervals else {}
