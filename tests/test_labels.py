from chexnet.labels import FINDINGS, LABELS, NOTES, class_to_index, note_of_others, parse, spoken


def test_the_vocabulary_is_nihs_fourteen_findings_and_two_more():
    assert len(FINDINGS) == 14
    assert set(LABELS) - set(FINDINGS) == {"No Finding", "Other"}
    assert set(NOTES) == set(LABELS)


def test_a_cell_is_parsed_in_canonical_order_whatever_its_own():
    assert parse("Emphysema|Cardiomegaly") == ("Emphysema", "Cardiomegaly")
    assert parse("Cardiomegaly|Emphysema") == ("Emphysema", "Cardiomegaly")
    assert parse(" Mass | Mass ") == ("Mass",)
    assert parse("No Finding") == ("No Finding",)


def test_a_label_is_known_in_any_case_and_with_any_blanks_underscores_and_hyphens():
    for cell in ("Pleural_thickening|no finding", "PLEURAL-THICKENING|NoFinding"):
        assert parse(cell) == parse("pleural  thickening|No_Finding")
        assert parse(cell) == ("Pleural_Thickening", "No Finding")
    assert parse("Mass effect|Nodules") == ("Other",)


def test_what_becomes_other_is_named_with_its_count():
    cells = {"Mass|Scoliosis": 2, "scoliosis": 1, "Tube|Scoliosis": 3, "effusion": 4, "Other": 5}
    [note] = note_of_others(cells, "t.csv")
    counted = "9 labels of t.csv are none of NIH's and count as Other"
    assert note == f"{counted}: 'Scoliosis' 5, 'Tube' 3, 'scoliosis' 1."
    assert note_of_others({"Mass|other": 1}, "t.csv") == ()
    [long] = note_of_others({"|".join(f"{'x' * 99}{n}\x1b" for n in range(9)): 1}, "t.csv")
    assert "and 4 more names" in long
    assert len(long) < 320
    assert long.isprintable()


def test_names_outside_the_vocabulary_become_other_once():
    assert parse("Scoliosis|Mass|Fracture") == ("Mass", "Other")


def test_an_empty_cell_has_no_labels():
    assert parse("") == ()
    assert parse("|") == ()


def test_classes_are_built_from_what_the_table_uses():
    assert class_to_index([("Mass",), ("No Finding",), ("Atelectasis", "Mass")]) == {
        "Atelectasis": 0,
        "Mass": 1,
        "No Finding": 2,
    }


def test_people_read_a_space_for_an_underscore():
    assert spoken("Pleural_Thickening") == "Pleural Thickening"
