"""Other data sets' tables, read into the same rows: what stands in them, not yet what it means.

A reader takes the table as text and gives one row an image and, for each name of the data set's own
labels, what the table says of it. `formats.open_folder` makes a `DataFolder` of that.

Shapes: N images.
"""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.mappings import BLANK_AS, NEGATIVE, POSITIVE, UNCERTAIN, UNKNOWN, Meaning
from chexnet.data.rsna import read_rsna_rows
from chexnet.data.table_rows import (
    SIGNS,
    TableRows,
    about_images,
    column_of,
    frontal_only,
    read_text,
    refuse_rows,
    signed_states,
    states_of_terms,
)
from chexnet.errors import DataError

Reader = Callable[[Path, Meaning], TableRows]
CSV_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "image": str,
    "patient": str,
    "age": str,
    "sex": str,
    "view": str,
    "frontal": list,
    "labels_column": str,
    "separator": str,
    "positive": list,
    "negative": list,
    "uncertain": list,
}
"""What a user's mapping file may say of a table of its own, beside what the labels mean."""


def read_chexpert(source: Path, meaning: Meaning) -> TableRows:
    """CheXpert's `train.csv` or `valid.csv`: a label a column, the patient in the path."""
    needed = ("Path", "Frontal/Lateral", *meaning.sources)
    raw, notes = read_text(source, needed, meaning.title), list[str]()
    view = raw["Frontal/Lateral"]
    unknown = ~view.isin(["Frontal", "Lateral"])
    refuse_rows(source, raw["Path"], unknown, "no view", "Frontal or Lateral")
    raw = frontal_only(raw, view == "Frontal", notes)
    patient = raw["Path"].str.extract(r"(patient\d+)", expand=False).fillna("")
    refuse_rows(source, raw["Path"], patient == "", "no patient in the path", "patient00001/...")
    about = about_images(
        raw, image="Path", patient=patient, age="Age", sex="Sex", view=column_of(raw, "AP/PA")
    )
    return TableRows(about, signed_states(source, raw, meaning, "Path", SIGNS, notes), notes)


def read_vinbigdata(source: Path, meaning: Meaning) -> TableRows:
    """VinBigData's `train.csv`: a row a box and a reader; readers are joined by majority."""
    raw = read_text(source, ("image_id", "class_name", "rad_id"), meaning.title)
    known = {*meaning.sources, *meaning.unused}
    refuse_rows(
        source,
        raw["image_id"],
        ~raw["class_name"].isin(known),
        "a class that VinBigData does not have",
        f"one of {', '.join(sorted(known))}",
    )
    refuse_rows(source, raw["image_id"], raw["rad_id"] == "", "no reader", "a rad_id")
    images = raw.drop_duplicates("image_id")[["image_id"]]
    readers = raw.groupby("image_id")["rad_id"].nunique().loc[images["image_id"]].to_numpy()
    votes = (
        raw.drop_duplicates(["image_id", "class_name", "rad_id"])
        .groupby(["class_name", "image_id"])
        .size()
    )
    states, tied = {}, 0
    for name in meaning.sources:
        count = (
            votes.xs(name).reindex(images["image_id"], fill_value=0).to_numpy()
            if name in votes.index.get_level_values(0)
            else np.zeros(len(images), int)
        )
        state = np.where(2 * count > readers, POSITIVE, NEGATIVE)
        state[2 * count == readers] = UNCERTAIN
        tied += int((state == UNCERTAIN).sum())
        states[name] = state.astype(np.int8)
    notes = [
        "Readers were joined by majority: a label is positive where more than half of an image's "
        f"readers gave it ({', '.join(map(str, sorted(set(readers))))} readers an image); "
        f"{tied:,} labels with as many readers for as against count as uncertain."
    ]
    about = about_images(images, image="image_id", patient=pd.Series("", images.index))
    return TableRows(about, states, notes, by_patient=False)


def read_csv_table(source: Path, meaning: Meaning) -> TableRows:
    """Any table of one row an image, as the user's mapping file describes it."""
    options = meaning.options
    if "image" not in options:
        raise DataError(
            "--mapping: found no image, expected the column with an image's path under --data, as "
            'in image = "path".'
        )
    places = [options[key] for key in ("image", "patient", "age", "sex", "view") if key in options]
    listed = options.get("labels_column")
    columns = [listed] if listed else meaning.sources
    raw, notes = read_text(source, (*places, *columns), meaning.title), list[str]()
    if "frontal" in options:
        if "view" not in options:
            raise DataError("--mapping: found frontal without view, expected both or neither.")
        values = [str(value) for value in options["frontal"]]
        raw = frontal_only(raw, raw[options["view"]].isin(values), notes)
    image = options["image"]
    states = (
        _listed(raw, meaning, listed, notes)
        if listed
        else signed_states(source, raw, meaning, image, _own_signs(meaning), notes)
    )
    patient = column_of(raw, options.get("patient", ""))
    about = about_images(
        raw,
        image=image,
        patient=patient,
        age=options.get("age", ""),
        sex=options.get("sex", ""),
        view=column_of(raw, options.get("view", "")),
    )
    return TableRows(about, states, notes, by_patient="patient" in options)


def read_mimic(source: Path, meaning: Meaning) -> TableRows:
    """MIMIC-CXR-JPG: labels a study, and the metadata table beside them, which names the images."""
    labels = read_text(source, ("subject_id", "study_id", *meaning.sources), meaning.title)
    refuse_rows(
        source,
        labels["study_id"],
        labels["study_id"].duplicated(),
        "a study that stands twice",
        "one row a study",
    )
    beside = [path for path in sorted(source.parent.glob("*metadata*.csv*")) if path.is_file()]
    if len(beside) != 1:
        raise DataError(
            f"Found {len(beside)} tables named *metadata*.csv beside {source}. Expected one: "
            "mimic-cxr-2.0.0-metadata.csv names the images of each study."
        )
    needed = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    raw, notes = read_text(beside[0], needed, meaning.title), list[str]()
    labelled = raw["study_id"].isin(labels["study_id"])
    if not labelled.any():
        raise DataError(f"{source} and {beside[0].name} have no study in common.")
    if not labelled.all():
        notes.append(f"{int((~labelled).sum()):,} images of studies without labels were left out.")
    raw = raw[labelled]
    raw = frontal_only(raw, raw["ViewPosition"].isin(["AP", "PA"]), notes)
    notes.append("Labels are given a study: every frontal image of a study has them all.")
    about = about_images(raw, image="dicom_id", patient=raw["subject_id"], view=raw["ViewPosition"])
    folders = "p" + raw["subject_id"].str[:2] + "/p" + raw["subject_id"] + "/s" + raw["study_id"]
    about["file"] = "files/" + folders + "/" + raw["dicom_id"] + ".jpg"
    states = signed_states(source, labels, meaning, "study_id", SIGNS, notes)
    study = pd.Index(labels["study_id"]).get_indexer(raw["study_id"])
    return TableRows(about, {name: one[study] for name, one in states.items()}, notes)


def read_padchest(source: Path, meaning: Meaning) -> TableRows:
    """PadChest: whole terms in a Python list as text, most of them given by a network."""
    needed = ("ImageID", "PatientID", "Projection", "MethodLabel", "Labels")
    raw, notes = read_text(source, needed, meaning.title), list[str]()
    raw = frontal_only(raw, raw["Projection"].isin(["PA", "AP", "AP_horizontal"]), notes)
    terms = raw["Labels"].map(_python_list)
    refuse_rows(source, raw["ImageID"], terms.isna(), "no list of Labels", "['pneumonia', ...]")
    excluded = terms.map(lambda one: "exclude" in one)
    for problem, which in (
        ("rows without labels", terms.map(len) == 0),
        ("rows that PadChest itself excludes", excluded),
    ):
        rows = which[raw.index]
        if rows.any():
            notes.append(f"{int(rows.sum()):,} {problem} were left out.")
        raw, terms = raw[~rows], terms[~rows]
    if raw.empty:
        raise DataError(f"{source} has no row with labels. Expected {meaning.title}'s table.")
    methods = raw["MethodLabel"].value_counts()
    shown = ", ".join(f"{name or 'nobody named'} {count:,}" for name, count in methods.items())
    notes.append(f"Rows by who labelled them (MethodLabel): {shown}.")
    states = states_of_terms(terms.tolist(), meaning, NEGATIVE, notes)
    same = terms.map(lambda one: "unchanged" in one).to_numpy()
    if same.any():
        notes.append(
            f"{int(same.sum()):,} rows say that something is unchanged, not what: labels that they "
            "do not name are unknown."
        )
        states = {
            name: np.where(same & (state == NEGATIVE), UNKNOWN, state).astype(np.int8)
            for name, state in states.items()
        }
    year, birth = (
        pd.to_numeric(column_of(raw, name).str[:4], errors="coerce")
        for name in ("StudyDate_DICOM", "PatientBirth")
    )
    about = about_images(
        raw.assign(age=(year - birth).astype(str)),
        image="ImageID",
        patient=raw["PatientID"],
        age="age",
        sex="PatientSex_DICOM",
        view=raw["Projection"].replace("AP_horizontal", "AP"),
    )
    return TableRows(about, states, notes)


def read_rsna_table(source: Path, meaning: Meaning) -> TableRows:
    """RSNA's challenge: NIH's images under other names, called here by NIH's."""
    rows = read_rsna_rows(source)
    raw = rows.raw.drop_duplicates("patientId")
    known = raw["image"].notna()
    notes = [f"Which NIH image each one is was read from {rows.mapping_name}."]
    if not known.all():
        notes.append(f"{int((~known).sum()):,} images without a known NIH image were left out.")
    raw = raw[known]
    # `00000013_026.png` is an image of NIH's patient 13.
    about = about_images(raw, image="image", patient=raw["image"].str.partition("_")[0])
    about["file"] = raw["patientId"]
    state = np.where(raw["Target"] == "1", POSITIVE, NEGATIVE).astype(np.int8)
    return TableRows(about, {"Target": state}, notes)


def read_siim(source: Path, meaning: Meaning) -> TableRows:
    """SIIM-ACR's challenge: a row a mask, `-1` for none; NIH's images, nobody says which."""
    raw = read_text(source, ("ImageId", "EncodedPixels"), meaning.title)
    empty = raw["EncodedPixels"] == ""
    refuse_rows(source, raw["ImageId"], empty, "no EncodedPixels", "a mask, or -1 for none")
    masked = raw["EncodedPixels"] != "-1"
    both = masked.groupby(raw["ImageId"]).transform("nunique") > 1
    refuse_rows(source, raw["ImageId"], both, "a mask and no mask", "one of both")
    images = raw.drop_duplicates("ImageId")
    about = about_images(images, image="ImageId", patient=pd.Series("", images.index))
    state = np.where(masked.loc[images.index], POSITIVE, NEGATIVE).astype(np.int8)
    return TableRows(about, {"EncodedPixels": state}, by_patient=False)


READERS: dict[str, Reader] = {
    "csv": read_csv_table,
    "chexpert": read_chexpert,
    "vinbigdata": read_vinbigdata,
    "mimic": read_mimic,
    "padchest": read_padchest,
    "rsna": read_rsna_table,
    "siim": read_siim,
}


def _own_signs(meaning: Meaning) -> dict[str, int]:
    """The values that a user's mapping names, or CheXpert's."""
    kinds = {"positive": POSITIVE, "negative": NEGATIVE, "uncertain": UNCERTAIN}
    own = {
        str(value): state
        for kind, state in kinds.items()
        for value in meaning.options.get(kind, ())
    }
    return own or SIGNS


def _listed(
    raw: pd.DataFrame, meaning: Meaning, column: str, notes: list[str]
) -> dict[str, np.ndarray]:
    """All labels in one cell, divided by a sign; a cell without any says nothing."""
    separator = meaning.options.get("separator", "|")
    terms = [{one.strip() for one in cell.split(separator)} - {""} for cell in raw[column]]
    of_blank = BLANK_AS[meaning.blank]
    notes.append(f"A row without labels counts as {meaning.blank}.")
    return states_of_terms(terms, meaning, of_blank, notes)


def _python_list(cell: str) -> set[str] | None:
    """Whole terms, or None of what is no list of text; `nan` is PadChest's for none."""
    if cell in ("", "nan"):
        return set()
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return None
    return {one.strip().lower() for one in found} - {""}
