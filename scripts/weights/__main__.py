"""Networks from elsewhere: python -m scripts.weights list, get, import, check, calibrate."""

from scripts.cli import new_app, run
from scripts.weights import checking, getting

app = new_app()


@app.callback()
def weights() -> None:
    """List, fetch, import and check published networks. Research and education only."""


app.command("list")(getting.list_networks)
app.command("import")(getting.import_file)
app.command()(getting.get)
app.command()(checking.check)
app.command()(checking.calibrate)

if __name__ == "__main__":
    run(app)
