"""A data folder in NIH's layout: images, table, lists, boxes, packs."""

import os
from collections.abc import Iterator
from pathlib import Path

from chexnet.errors import DataError
from scripts.cli import command
from scripts.doctor.finding import Finding, note, wrong


def data_folder(root: Path, packs: Path) -> Iterator[Finding]:
    """All that is known of a folder without decoding its images."""
    from chexnet.data.archives import by_hand
    from chexnet.data.nih import BOXES, LISTS, read_boxes, read_folder

    if not root.is_dir():
        yield wrong("Data", f"there is no folder {root}", "Pass --data the folder with images_001.")
        return
    for part in sorted(root.glob(".*.part")):
        name = part.name.strip(".").removesuffix(".tar.gz.part")
        yield note("Download", f"{name} is fetched in part", command("scripts.download", root))
    fetch = f"Fetch it by hand from {by_hand()}, into {root}."
    try:
        folder = read_folder(root, need_images=False)
    except DataError as error:
        yield wrong("Table and lists", str(error), fetch)
        return
    names = set(folder.table["image"])
    known = {"2017": "NIH's of 2017", "v2020": "NIH's of 2020"}
    kind = known.get(folder.version, "neither of NIH's two whole tables")
    patients = folder.table["patient"].nunique()
    yield Finding(
        "Table", f"{folder.table_name}: {len(names):,} images, {patients:,} patients; {kind}"
    )
    for text in folder.notes:
        yield note("Labels", text, "Write them as NIH does, or leave them out of the table.")
    yield from _images(root, len(folder.paths), len(names), whole=folder.version in known)
    if folder.lists is None:
        text = "none; patients are divided 70/10/20 instead of as NIH does"
        yield note("Lists", text, f"Fetch {', '.join(LISTS.values())} from {by_hand()}.")
    else:
        yield _lists(folder.lists, names)
    if os.path.lexists(root / BOXES):
        try:
            boxes = read_boxes(root)
        except DataError as error:
            yield wrong("Boxes", str(error), fetch)
        else:
            text = f"{len(boxes):,} on {boxes['image'].nunique():,} images"
            yield wrong("Boxes", text, fetch) if boxes.empty else Finding("Boxes", text)
    else:
        yield note("Boxes", "none; scripts.localize needs them", fetch)
    yield from _packs(root, packs, folder.paths)


def _images(root: Path, here: int, named: int, *, whole: bool) -> Iterator[Finding]:
    from chexnet.data.archives import known_archives

    text = f"{here:,} of the {named:,} in the table are here"
    if not here:
        by_hand = "Put them into any folder below it."
        yield wrong("Images", text, command("scripts.download", root) if whole else by_hand)
        return
    if here == named or not whole:
        yield Finding("Images", text)
        return
    short = {}
    for part in known_archives():
        folder = root / part.name / "images"
        found = len(list(folder.glob("*.png")))
        if folder.is_dir() and found != part.images:
            short[part.number] = f"{part.name} ({found:,} of {part.images:,})"
    yield note(
        "Images",
        f"{text}; not whole: {', '.join(short.values())}" if short else text,
        f"A part is enough. For all: move these away, then {command('scripts.download', root)}",
    )


def _lists(lists: dict[str, frozenset[str]], names: set[str]) -> Finding:
    from chexnet.data.nih import LISTS

    advice = f"Fetch {' and '.join(LISTS.values())} again from NIH."
    both = lists["train_val"] & lists["test"]
    strange = (lists["train_val"] | lists["test"]) - names
    counts = ", ".join(f"{part} {len(found):,}" for part, found in lists.items())
    if both:
        return wrong("Lists", f"{len(both):,} images stand in both ({min(both)} ...)", advice)
    patients = [{name.partition("_")[0] for name in found} for found in lists.values()]
    if shared := patients[0] & patients[1]:
        return wrong("Lists", f"{len(shared):,} patients stand in both", advice)
    if strange and len(strange) == len(lists["train_val"] | lists["test"]):
        return wrong("Lists", "they name no image of the table", advice)
    if strange:
        return note("Lists", f"{counts}; {len(strange):,} of them are not in the table")
    return Finding("Lists", f"{counts}; no patient in both")


def _packs(root: Path, packs: Path, paths: dict[str, Path]) -> Iterator[Finding]:
    from chexnet.data.pack import Pack, pack_folder
    from chexnet.transforms import Preprocessing

    make = command("scripts.prepare", data=root, packs=packs)
    usual = Preprocessing()
    place = pack_folder(packs, root, usual)
    mark = place.name.rpartition("-crop")[0]
    others = sorted(path.name for path in packs.glob(f"{mark}-*") if path != place)
    if others:
        yield Finding("Packs", f"of other sizes: {', '.join(others)}")
    if not place.is_dir():
        if not others:
            yield note("Packs", f"none in {packs}; training decodes every epoch without", make)
        return
    try:
        pack = Pack(place, usual)
    except DataError as error:
        yield wrong("Packs", str(error), f"Remove {place}, then {make}")
        return
    if pack.stale(paths):
        yield wrong("Packs", f"{place}: images have changed since", f"Remove it, then {make}")
    elif missing := pack.missing(paths):
        yield note("Packs", f"{place}: {missing:,} images are not packed yet", make)
    else:
        unreadable = len(pack.unreadable(paths))
        yield Finding("Packs", f"{place}: {len(pack.names):,} images, {unreadable} unreadable")
