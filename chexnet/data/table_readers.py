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
    CELL_CODES,
    PHOTOMETRIC,
    TableRows,
    about_images,
    frontal_only,
    note_monochrome1,
    signed_states,
    states_of_terms,
)
from chexnet.data.tables import column_of, patient_names, read_csv, refuse_rows
from chexnet.errors import DataError
from chexnet.labels import folded

Reader = Callable[[Path, Meaning], TableRows]
CSV_OPTIONS: dict[str, type] = {
    **dict.fromkeys(("image", "patient", "age", "sex", "view", "labels_column", "separator"), str),
    "frontal": list,
}
"""What a user's mapping file may say of a table of its own, beside what the labels mean."""
VINDR_BOXES = {
    *("Edema", "Emphysema", "Clavicle fracture", "Enlarged PA", "Lung cavity", "Lung cyst"),
    *("Mediastinal shift", "Rib fracture"),
}
VINDR_IMAGES = {"Pneumonia"}
"""Labels of VinDr-CXR that the competition lacks, and those that no box can have."""
VIEW = r"(?i)(frontal|lateral)[^/\\]*$"


def expected_of(meaning: Meaning) -> str:
    """What a message about another table says."""
    return f"Expected {meaning.title}'s table, or another --format."


def read_chexpert(source: Path, meaning: Meaning) -> TableRows:
    """CheXpert's `train.csv`, `valid.csv` or `test_labels.csv`: a label a column.

    The patient stands in the path, and so does the view where the table has no column of it. A
    path is sought from its patient on: train and test lie in batches, with other folders' names.
    """
    also = ("Frontal/Lateral", "AP/PA", "Sex", "Age", "No Finding")
    needed = ("Path", *(name for name in meaning.sources if name not in also))
    raw, notes = read_csv(source, needed, expected_of(meaning), also), list[str]()
    view = raw["Frontal/Lateral"] if "Frontal/Lateral" in raw else raw["Path"].str.extract(VIEW)[0]
    about = about_images(raw, "Path", "", "Age", "Sex", column_of(raw, "AP/PA"))
    about["file"] = about["image"].str.extract(r"(patient\d+/.*)$")[0].fillna("")
    about["patient"] = about["file"].str.partition("/")[0]
    view = view.fillna("").str.capitalize()
    problems = {"has no view": ~view.isin(["Frontal", "Lateral"])}
    problems["has no patient"] = (about["patient"] == "") & (view == "Frontal")
    expected = "Expected Frontal or Lateral, and patient00001 in the path."
    refuse_rows(source, raw["Path"], problems, expected)
    raw = frontal_only(raw, view == "Frontal", notes)
    states = signed_states(source, raw, meaning, "Path", CELL_CODES, notes)
    return TableRows(about.loc[raw.index], states, notes)


def read_vinbigdata(source: Path, meaning: Meaning) -> TableRows:
    """VinBigData's boxes, or VinDr-CXR's boxes or labels; readers are joined by majority.

    `train.csv` and `annotations_*.csv` have a row a box and a reader, `image_labels_*.csv` a row an
    image and a reader, with a label a column. The test sets name no reader: theirs are agreed.
    """
    also = ("class_name", "rad_id", *meaning.sources)
    raw = read_csv(source, ("image_id",), expected_of(meaning), also)
    names = raw["image_id"]
    raw["reader"] = raw["rad_id"] if "rad_id" in raw else "all of them"
    refuse_rows(source, names, {"has no reader": raw["reader"] == ""}, "Expected a rad_id.")
    if "class_name" in raw:
        spelled = {folded(name): name for name in (*meaning.sources, *meaning.unused)}
        raw["class_name"] = raw["class_name"].map(lambda name: spelled.get(folded(name), ""))
        expected = f"Expected one of {', '.join(sorted(spelled.values()))}."
        problems = {"has a class that VinBigData does not have": raw["class_name"] == ""}
        refuse_rows(source, names, problems, expected)
        # A table of the competition's 14 classes does not say what only VinDr's boxes mark.
        lacking = set() if VINDR_BOXES & set(raw["class_name"]) else VINDR_BOXES
        given, asked = raw, set(meaning.sources) - lacking - VINDR_IMAGES
    else:
        asked = {name for name in meaning.sources if name in raw}
        if not asked:
            raise DataError(f"{source} has no column class_name. {expected_of(meaning)}")
        given = raw.melt(["image_id", "reader"], sorted(asked), "class_name", ignore_index=False)
        problems = {
            "is a duplicate": raw.duplicated(["image_id", "reader"]),
            "has a label that is neither 0 nor 1": ~given["value"].isin(["0", "1", "0.0", "1.0"]),
        }
        refuse_rows(source, names, problems, "Expected one row an image and reader.")
        given = given[given["value"].str[0] == "1"]
    images = raw.drop_duplicates("image_id")[["image_id"]]
    readers = raw.groupby("image_id")["reader"].nunique().loc[images["image_id"]].to_numpy()
    given = given.drop_duplicates(["image_id", "class_name", "reader"])
    votes = given.groupby(["class_name", "image_id"]).size().unstack(0, fill_value=0)
    votes = votes.reindex(images["image_id"], columns=list(meaning.sources), fill_value=0)
    states, tied = {}, 0
    for name in (name for name in meaning.sources if name in asked):
        count = votes[name].to_numpy()
        state = np.where(2 * count > readers, POSITIVE, NEGATIVE)
        state[2 * count == readers] = UNCERTAIN
        tied += int((state == UNCERTAIN).sum())
        states[name] = state.astype(np.int8)
    notes = [
        "Readers were joined by majority: a label is positive where more than half of an image's "
        f"readers gave it ({', '.join(map(str, sorted(set(readers))))} readers an image); "
        f"{tied:,} labels with as many readers for as against count as uncertain."
    ]
    return TableRows(about_images(images, "image_id"), states, notes, by_patient=False)


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
    needed = (*places, *columns)
    raw, notes = read_csv(source, needed, expected_of(meaning), (PHOTOMETRIC,)), list[str]()
    if "frontal" in options:
        if "view" not in options:
            raise DataError("--mapping: found frontal without view, expected both or neither.")
        values = [str(value) for value in options["frontal"]]
        raw = frontal_only(raw, raw[options["view"]].isin(values), notes)
    image = options["image"]
    states = (
        _listed(raw, meaning, listed, notes)
        if listed
        else signed_states(source, raw, meaning, image, meaning.signs or CELL_CODES, notes)
    )
    named = {key: options.get(key, "") for key in ("patient", "age", "sex", "view")}
    patient = patient_names(source, raw[image], column_of(raw, named["patient"]))
    view = column_of(raw, named["view"])
    about = about_images(raw, image, patient, named["age"], named["sex"], view)
    note_monochrome1(raw, about, meaning, notes)
    return TableRows(about, states, notes, by_patient="patient" in options)


def read_mimic(source: Path, meaning: Meaning) -> TableRows:
    """MIMIC-CXR-JPG: labels a study, and the metadata table beside them, which names the images."""
    labels = read_csv(source, ("study_id", *meaning.sources), expected_of(meaning))
    labels["study_id"] = patient_names(source, labels["study_id"], labels["study_id"])
    problems = {"is a duplicate": labels["study_id"].duplicated()}
    refuse_rows(source, labels["study_id"], problems, "Expected one row a study.")
    beside = [path for path in sorted(source.parent.glob("*metadata*.csv*")) if path.is_file()]
    if len(beside) != 1:
        raise DataError(
            f"Found {len(beside)} tables named *metadata*.csv beside {source}. Expected one: "
            "mimic-cxr-2.0.0-metadata.csv names the images of each study."
        )
    needed = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    raw, notes = read_csv(beside[0], needed, expected_of(meaning)), list[str]()
    for name in ("subject_id", "study_id"):
        raw[name] = patient_names(beside[0], raw["dicom_id"], raw[name])
    labelled = raw["study_id"].isin(labels["study_id"])
    if not labelled.any():
        raise DataError(f"{source} and {beside[0].name} have no study in common.")
    if not labelled.all():
        notes.append(f"{int((~labelled).sum()):,} images of studies without labels were left out.")
    raw = raw[labelled]
    raw = frontal_only(raw, raw["ViewPosition"].isin(["AP", "PA"]), notes)
    notes.append("Labels are given a study: every frontal image of a study has them all.")
    about = about_images(raw, "dicom_id", raw["subject_id"], view=raw["ViewPosition"])
    folders = "p" + raw["subject_id"].str[:2] + "/p" + raw["subject_id"] + "/s" + raw["study_id"]
    about["file"] = "files/" + folders + "/" + raw["dicom_id"] + ".jpg"
    states = signed_states(source, labels, meaning, "study_id", CELL_CODES, notes)
    study = pd.Index(labels["study_id"]).get_indexer(raw["study_id"])
    return TableRows(about, {name: state[study] for name, state in states.items()}, notes)


def read_padchest(source: Path, meaning: Meaning) -> TableRows:
    """PadChest: whole terms in a Python list as text, most of them given by a network."""
    needed = ("ImageID", "PatientID", "Projection", "MethodLabel", "Labels")
    also = ("StudyDate_DICOM", "PatientBirth", "PatientSex_DICOM", PHOTOMETRIC)
    raw, notes = read_csv(source, needed, expected_of(meaning), also), list[str]()
    raw = frontal_only(raw, raw["Projection"].isin(["PA", "AP", "AP_horizontal"]), notes)
    terms = raw["Labels"].map(_python_list)
    problems = {"has no list of Labels": terms.isna()}
    refuse_rows(source, raw["ImageID"], problems, "Expected ['pneumonia', ...].")
    excluded = terms.map(lambda names: "exclude" in names)
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
    same = terms.map(lambda names: "unchanged" in names).to_numpy()
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
    raw = raw.assign(age=(year - birth).astype(str))
    patient = patient_names(source, raw["ImageID"], raw["PatientID"])
    view = raw["Projection"].replace("AP_horizontal", "AP")
    about = about_images(raw, "ImageID", patient, "age", "PatientSex_DICOM", view)
    note_monochrome1(raw, about, meaning, notes)
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
    about = about_images(raw, "image", raw["image"].str.partition("_")[0])
    about["file"] = raw["patientId"]
    state = np.where(raw["Target"] == "1", POSITIVE, NEGATIVE).astype(np.int8)
    return TableRows(about, {"Target": state}, notes)


READERS: dict[str, Reader] = {
    "csv": read_csv_table,
    "chexpert": read_chexpert,
    "vinbigdata": read_vinbigdata,
    "mimic": read_mimic,
    "padchest": read_padchest,
    "padchest-inverted": read_padchest,
    "rsna": read_rsna_table,
}


def _listed(
    raw: pd.DataFrame, meaning: Meaning, column: str, notes: list[str]
) -> dict[str, np.ndarray]:
    """All labels in one cell, divided by a sign; a cell without any says nothing."""
    separator = meaning.options.get("separator", "|")
    terms = [{term.strip() for term in cell.split(separator)} - {""} for cell in raw[column]]
    of_blank = BLANK_AS[meaning.blank]
    notes.append(f"A row without labels counts as {meaning.blank}.")
    return states_of_terms(terms, meaning, of_blank, notes)


def _python_list(cell: str) -> set[str] | None:
    """Whole terms, or None of what is no list of text; `nan` is PadChest's for none."""
    if cell in ("", "nan"):
        return set()
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        return None
    return {term.strip().lower() for term in value} - {""}
