"""Do people read better with the network, and after it? python -m scripts.readers STUDY.csv."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli import Out, SeveralValues, new_app, run

if TYPE_CHECKING:
    from chexnet.evaluation.report.render import Table

app = new_app()

ABOUT = (
    "95 % intervals over readers and cases (Gallas' one-shot variance); n/a: too few to estimate, "
    "under five readers or cases. p is two-sided; Holm's is corrected for all {} differences.\n"
    "When: before or after the reader saw the network's answer to the case. Followed wrong: the "
    "network's answer where it is wrong; left right: another answer where it is right; before it "
    "was seen, both are what chance does. Gave up right: own right answers that became wrong."
)


@app.command(cls=SeveralValues)
def readers(
    file: Annotated[Path, typer.Argument(metavar="STUDY.csv", help="Answers of a reader study.")],
    finding: Annotated[
        list[str] | None, typer.Option(help="Ask for these findings only; default: all 14.")
    ] = None,
    out: Out = Path("runs/readers"),
) -> None:
    """Sensitivity, specificity and AUROC of readers by arm and round, and what differs.

    Writes readers.json, groups.csv and differences.csv into --out.
    """
    from chexnet.evaluation.readers import read_answers, score_readers
    from chexnet.evaluation.report.render import to_csv, to_text
    from chexnet.files import plain, write_json, write_text
    from chexnet.labels import FINDINGS
    from chexnet.metadata import code_version

    content = plain(score_readers(read_answers(file), finding or FINDINGS))
    accuracy, following, differences = tables(content)
    print(
        f"{content['answers']:,} answers of {content['readers']} readers to {content['cases']} "
        f"cases; findings asked for: {len(content['findings'])}."
    )
    for table in (accuracy, following, differences):
        print(f"\n{table.caption}:\n{to_text(table)}")
    print(f"\n{ABOUT.format(len(differences.rows))}")
    write_json(out / "readers.json", {"file": file.name, **content, "code": code_version()})
    write_text(out / "groups.csv", to_csv(accuracy))
    write_text(out / "differences.csv", to_csv(differences))
    print(f"\nWritten to {out}: readers.json, groups.csv, differences.csv")


def tables(content: dict[str, Any]) -> "tuple[Table, Table, Table]":
    """Accuracy and following of each group, and differences: of a `ReaderStudy` as plain values."""
    from chexnet.evaluation.report.render import Column, Table

    where = [Column("arm", "arm", "text"), Column("round", "round", "text")]
    where += [Column("when", "when", "text")]

    def columns(names: dict[str, str]) -> list[Column]:
        return where + [
            column
            for key, title in names.items()
            for column in (
                Column(key, title, path=f"figures/{key}/value"),
                Column(f"{key}_interval", "interval", "interval", path=f"figures/{key}/interval"),
            )
        ]

    accuracy = {"sensitivity": "sensitivity", "specificity": "specificity", "auroc": "AUROC"}
    following = {
        "followed_wrong": "followed wrong",
        "left_right": "left right",
        "gave_up_right": "gave up right",
    }
    rows = [
        {"by": pair["by"], "first": ", ".join(pair["first"]), "second": ", ".join(pair["second"])}
        | {"figure": name, **figures}
        for pair in content["differences"]
        for name, figures in pair["figures"].items()
    ]
    compared = [Column(key, key, "text") for key in ("first", "second", "figure")]
    compared += [
        Column("value", "difference", signed=True),
        Column("interval", "interval", "interval", signed=True),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
    ]
    groups = content["groups"]
    return (
        Table.of("groups", "By arm and round", columns(accuracy), groups),
        Table.of("following", "With and against the network", columns(following), groups),
        Table.of("differences", "First less second", compared, rows),
    )


if __name__ == "__main__":
    run(app)
