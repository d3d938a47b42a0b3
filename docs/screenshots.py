"""Take the pictures of docs/images that show pages, with the Chromium of this machine, once a study is done.

make study && make ui                              # in one terminal
.venv/bin/python docs/screenshots.py               # in another one
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from nertransfer import aliases, pages  # noqa: E402
from nertransfer.store import client, open_study  # noqa: E402

IMAGES = ROOT / "docs" / "images"
QUIET = """localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");"""
"""MLflow's assistant does not open over the page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=pages.LOCAL, help="address of the MLflow server")
    parser.add_argument("--study", default="planted")
    parser.add_argument("--report", type=Path, default=Path("reports/planted"), help="folder of the study's report")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    given = parser.parse_args()
    study = open_study(client(given.server, must_exist=True), given.study)
    languages = [path.stem for path in sorted((given.report / "errors").glob("*.html"))]
    models = list(aliases.champions(study.client, languages))
    links = dict(pages.listed(given.server, study.experiment_id, pages.VIEWS, models))
    model = models[0]
    report = given.report.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.add_init_script(QUIET)
        taken(page, given.images, "mlflow-means", links["means over seeds"], "Group:")
        taken(page, given.images, "mlflow-cells", links["every cell"], "matching runs")
        taken(page, given.images, "mlflow-compare", links["champions compared"], "matching runs")
        taken(page, given.images, "mlflow-model", links[model], "Version 1")
        taken(page, given.images, "report", f"{report}/index.html#matrices", "Transfer matrices")
        taken(page, given.images, "errors", f"{report}/errors/{languages[0]}.html#browser", "Every wrong entity")


def taken(page: Page, images: Path, name: str, address: str, text: str) -> None:
    """Take a picture of a page once it shows the text."""
    page.goto("about:blank")
    page.goto(address)
    page.get_by_text(text).last.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)  # figures are drawn after their text
    page.screenshot(path=images / f"{name}.png")
    print(images / f"{name}.png")


if __name__ == "__main__":
    main()
