"""The README's pictures of the demo, phantoms only: python -m dev.screenshots --weights W."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from chexnet.errors import ConfigError
from scripts.cli import Weights, new_app, run

app = new_app()

SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1366, "height": 768}},
    "dark": {"viewport": {"width": 1280, "height": 720}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
}
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@app.command()
def screenshots(
    weights: Weights,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("docs"),
    example: Annotated[str, typer.Option(help="Which of the demo's examples.")] = "cardiomegaly",
) -> None:
    """Serve the demo, open it in Chromium and photograph its main states."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise ConfigError("Found no Chromium. Install it, for example apt-get install chromium.")
    from playwright.sync_api import sync_playwright

    from demo import security

    out.mkdir(parents=True, exist_ok=True)
    with security.private_folder() as folder, sync_playwright() as playwright:
        from demo.server import serve

        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        with serve(folder, weights) as running:
            for name, options in SIZES.items():
                page = browser.new_context(**options).new_page()
                page.goto(running.url)
                page.wait_for_selector("#cx-findings [data-finding]")
                page.click(f"[data-example={example}]")
                page.wait_for_timeout(1000)
                page.screenshot(path=out / f"demo-{name}.png")
                if name == "desktop":
                    page.get_by_role("tab", name="Model").click()
                    page.wait_for_timeout(400)
                    page.screenshot(path=out / "demo-model.png", full_page=True)
                print(out / f"demo-{name}.png")
        browser.close()


if __name__ == "__main__":
    run(app)
