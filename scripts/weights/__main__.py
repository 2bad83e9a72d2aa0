"""Networks from elsewhere: python -m scripts.weights list, get, import, check, calibrate."""

from scripts.cli import new_app, run
from scripts.weights import checking, getting, listing

app = new_app()


@app.callback()
def weights() -> None:
    """List, fetch, import and check published networks. Research and education only."""


for group in (listing, getting, checking):
    group.register(app)

if __name__ == "__main__":
    run(app)
