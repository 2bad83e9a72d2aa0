"""How another data set's labels became ours, and whether figures are external, as text."""

from chexnet.evaluation.info import ScoringInfo


def mapping_text(facts: ScoringInfo) -> str:
    """What the commands show of a table that is not NIH's; empty for NIH's own."""
    mapping = facts.label_mapping
    if not mapping:
        return ""
    width = max(len(theirs) for theirs, _, _ in mapping["rows"])
    lines = [f"Labels of {mapping['title']}. {mapping['labelled_by']}"]
    lines += [f"- {note}" for note in mapping["notes"]]
    lines += [
        f"  {theirs:<{width}}  {ours}{f' ({why})' if why else ''}"
        for theirs, ours, why in mapping["rows"]
    ]
    if facts.external:
        lines.insert(0, f"EXTERNAL: scored on {mapping['title']}, trained on other data.")
    return "\n".join(lines)
