"""The vocabulary of NIH ChestX-ray14: 14 findings, `No Finding`, and `Other` for the rest.

Names are spelled as NIH spells them (`Pleural_Thickening`); `spoken` gives the form for people.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

FINDINGS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Hernia",
    "Mass",
)
NO_FINDING = "No Finding"
OTHER = "Other"
LABELS = (*FINDINGS, NO_FINDING, OTHER)
"""Canonical order: a class's index grows with its place here, whichever classes a table has."""

BOX_SPELLING = {"Infiltrate": "Infiltration"}
"""NIH's list of boxes spells one finding differently from NIH's label table."""

NOTES = {
    "Atelectasis": "Part of a lung has collapsed and holds too little air.",
    "Consolidation": "Air spaces of the lung are filled with fluid, pus or cells.",
    "Infiltration": "Hazy shadows, denser than air, spread through part of the lung.",
    "Pneumothorax": "Air between lung and chest wall; the lung has pulled away from the wall.",
    "Edema": "Fluid in the lung tissue, most often because the heart cannot keep up.",
    "Emphysema": "Lungs over-filled with air because walls between air sacs are lost.",
    "Fibrosis": "Scarred lung tissue, seen as a net of fine lines and lost volume.",
    "Effusion": "Fluid between lung and chest wall; it hides the sharp lower corner of the lung.",
    "Pneumonia": "Infection of the lung, seen as a patch of cloudy lung.",
    "Pleural_Thickening": "The lining of the lung is thickened along the chest wall.",
    "Cardiomegaly": "The heart is wider than half of the chest.",
    "Nodule": "A round spot in the lung of at most 3 cm.",
    "Hernia": "Part of the stomach lies above the diaphragm, behind the heart.",
    "Mass": "A round shadow in the lung larger than 3 cm.",
    NO_FINDING: "None of the 14 findings was named in the report.",
    OTHER: "A label outside the vocabulary of ChestX-ray14.",
}
"""One line of plain language for each label, for people who are no radiologists."""

SIGNS = {
    "Atelectasis": (
        "A white band or wedge, mostly at the base; the lung there is smaller, so the diaphragm or "
        "a fissure is pulled towards it."
    ),
    "Consolidation": (
        "An even white area in which vessels disappear but dark, branching airways can stay "
        "visible (air bronchogram); it may end straight at a fissure."
    ),
    "Infiltration": "A wide, hazy veil without sharp borders; vessels still show through it.",
    "Pneumothorax": (
        "A thin white line, the edge of the lung; between it and the chest wall it is dark, "
        "without any vessels."
    ),
    "Edema": (
        "Haze around both hila like the wings of a bat, blurred vessels, and short level lines "
        "at the outer edges of the bases (Kerley B lines)."
    ),
    "Emphysema": (
        "Large dark lungs with few, thin vessels; the diaphragm lies low and is flattened."
    ),
    "Fibrosis": (
        "A coarse net of lines and small rings (honeycombing), most at the bases and outer "
        "edges; the lungs are smaller."
    ),
    "Effusion": (
        "The sharp angle between diaphragm and chest wall is filled with white; its upper border "
        "is hollow and rises towards the wall (meniscus)."
    ),
    "Pneumonia": (
        "Fluffy white patches that run together in one zone of a lung; the picture alone cannot "
        "tell infection from other causes, fever and cough can."
    ),
    "Pleural_Thickening": (
        "A white band along the side wall or a cap over the top of the lung; its edge lies along "
        "the ribs and forms no meniscus."
    ),
    "Cardiomegaly": (
        "The heart is wider than half of the chest at its widest, measured inside the ribs; an AP "
        "picture makes every heart look larger."
    ),
    "Nodule": "A round, well-defined white spot in the lung, at most 3 cm across.",
    "Hernia": (
        "A round shadow behind the heart, above the diaphragm, often with air over a level of "
        "fluid in it."
    ),
    "Mass": "A white shadow in the lung of more than 3 cm, round or lobed.",
}
"""The sign by which a reader recognises each finding on a frontal radiograph. Sources: Hansell et
al., "Fleischner Society: Glossary of Terms for Thoracic Imaging", Radiology 2008;246:697-722;
Goodman, "Felson's Principles of Chest Roentgenology"; the phantoms are drawn by the same signs."""


def spoken(label: str) -> str:
    """The label as people write it, for example `Pleural Thickening`."""
    return label.replace("_", " ")


def folded(name: str) -> str:
    """A name without case, blanks, underscores and hyphens, for names that differ in these."""
    return "".join(name.casefold().split()).replace("_", "").replace("-", "")


_BY_SPELLING = {folded(label): label for label in LABELS}


def label_of(name: str) -> str:
    """The label that a name stands for, `Other` where it is none of the vocabulary."""
    return _BY_SPELLING.get(folded(name), OTHER)


def names_in(cell: str) -> set[str]:
    """The names in a cell of NIH's `Finding Labels` column, divided by `|`, as they stand there."""
    return {part.strip() for part in cell.split("|")} - {""}


def parse(cell: str) -> tuple[str, ...]:
    """Read one cell of NIH's `Finding Labels` column.

    Args:
        cell: labels separated by `|`, for example `Cardiomegaly|Emphysema`.

    Returns:
        Labels of the vocabulary in canonical order, each once, whatever their case, blanks,
        underscores and hyphens. A name outside it becomes `Other`; an empty cell gives an empty
        tuple.
    """
    known = {label_of(name) for name in names_in(cell)}
    return tuple(label for label in LABELS if label in known)


def note_of_others(cells: Mapping[str, int], table: str) -> tuple[str, ...]:
    """The sentence that names what becomes `Other`, with counts; none where nothing does.

    Args:
        cells: each cell of the `Finding Labels` column to how often it stands there.
        table: where.
    """
    others: Counter[str] = Counter()
    for cell, count in cells.items():
        for name in names_in(cell):
            if label_of(name) == OTHER and folded(name) != folded(OTHER):
                others[name] += count
    if not others:
        return ()
    named = ", ".join(f"{name[:40]!a} {count:,}" for name, count in others.most_common(5))
    more = f" and {len(others) - 5:,} more names" if len(others) > 5 else ""
    return (
        f"{others.total():,} labels of {table} are none of NIH's and count as Other: "
        f"{named}{more}.",
    )


def class_to_index(label_sets: Iterable[Sequence[str]]) -> dict[str, int]:
    """Build the class-to-index mapping from the labels that a table really uses.

    Args:
        label_sets: the labels of each image, as `parse` gives them.

    Returns:
        Label to index, 0 to classes - 1, in canonical order.
    """
    used = set().union(*label_sets)
    return {label: index for index, label in enumerate(name for name in LABELS if name in used)}
