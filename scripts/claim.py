"""What is a published or claimed mean AUROC above? python -m scripts.claim 0.879 --rows 15."""

from typing import Annotated

import typer

from scripts.cli import new_app, run

app = new_app()


@app.command()
def claim(
    auroc: Annotated[float, typer.Argument(help="The mean AUROC that is claimed.")],
    rows: Annotated[int, typer.Option(help="14 findings, or 15 rows with No Finding.")] = 14,
    split: Annotated[
        str, typer.Option(help="What it was measured on: official, patient, image or unknown.")
    ] = "unknown",
) -> None:
    """Put a claimed mean AUROC beside what is published and what no pixel is needed for."""
    from chexnet.evaluation.claims import claim_text

    print(claim_text(auroc, rows, split))


if __name__ == "__main__":
    run(app)
