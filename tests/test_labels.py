from chexnet.labels import FINDINGS, LABELS, NOTES, class_to_index, parse, spoken


def test_the_vocabulary_is_nihs_fourteen_findings_and_two_more():
    assert len(FINDINGS) == 14
    assert set(LABELS) - set(FINDINGS) == {"No Finding", "Other"}
    assert set(NOTES) == set(LABELS)


def test_a_cell_is_parsed_in_canonical_order_whatever_its_own():
    assert parse("Emphysema|Cardiomegaly") == ("Emphysema", "Cardiomegaly")
    assert parse("Cardiomegaly|Emphysema") == ("Emphysema", "Cardiomegaly")
    assert parse(" Mass | Mass ") == ("Mass",)
    assert parse("No Finding") == ("No Finding",)


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
