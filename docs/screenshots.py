"""Make the pictures of docs/images, and the numbers that they show, of the planted study once it is done.

make pictures                                      # the study, then this
.venv/bin/python docs/screenshots.py               # from the folder of a store with the study, and of its report

The pages are those of MLflow and of the report in the Chromium of this machine; the figure is the report's own.
`planted.csv` has the F1 of every cell: a test compares it with what the code makes, so that a stale picture is noticed.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from nertransfer.commands.listening import listener  # noqa: E402
from nertransfer.core import schema  # noqa: E402
from nertransfer.tracking import ui_links  # noqa: E402
from nertransfer.tracking.store import (  # noqa: E402
    client,
    open_study,
)

IMAGES = ROOT / "docs" / "images"
STUDY = "planted"
MODEL = schema.model_name("qka")
NUMBERS = f"{STUDY}.csv"
QUIET = """localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");"""
"""MLflow's assistant does not open over the page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("reports") / STUDY, help="folder of the study's report")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the pictures")
    given = parser.parse_args()
    numbers(given.report).to_csv(given.images / NUMBERS, index=False, float_format="%.4f")
    shutil.copy(given.report / "figures" / "base.png", given.images / "planted-base.png")
    report = given.report.resolve().as_uri()
    with served() as server, sync_playwright() as playwright:
        study = open_study(client(server, must_exist=True), STUDY)
        means = ui_links.runs_page(server, study.experiment_id, ui_links.CONFIGURATIONS)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.add_init_script(QUIET)
        taken(page, given.images, "mlflow-means", means, "Group:")
        charts = ui_links.runs_page(server, study.experiment_id, ui_links.CHARTS)
        taken(page, given.images, "mlflow-charts", charts, "Test F1 by target")
        best = study.client.get_model_version_by_alias(MODEL, schema.CHAMPION).run_id
        taken(page, given.images, "mlflow-run", ui_links.run_page(server, study.experiment_id, best), "source_test_f1")
        taken(page, given.images, "mlflow-model", ui_links.model_page(server, MODEL), schema.CHAMPION)
        taken(page, given.images, "report", f"{report}/index.html#matrices", "Transfer matrices")
        first = min((given.report / "errors").glob("*.html")).name
        taken(page, given.images, "errors", f"{report}/errors/{first}#browser", "Every wrong entity")


def numbers(report: Path) -> pd.DataFrame:
    """Test F1 of every cell on every target: start, source, seed, target, f1 as a fraction."""
    results = pd.read_csv(report / "results.csv")
    scores = results[(results["split"] == "test") & (results["category"] == "ALL")]
    columns = ["start", "source", "seed", "target"]
    return scores[[*columns, "f1"]].sort_values(columns)


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of the store, which ends with the block."""
    with closing(listener("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [sys.executable, str(ROOT / "entrypoints" / "ui.py"), "--port", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        if not running.stdout.readline():  # its first line is written when it listens
            raise SystemExit(running.wait())
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait()


def taken(page: Page, images: Path, name: str, address: str, text: str) -> None:
    """Take a picture of a page once it shows the text."""
    page.goto("about:blank")
    page.goto(address)
    page.get_by_text(text).last.wait_for(timeout=60_000)
    page.wait_for_timeout(5000)  # figures are drawn after their text
    page.screenshot(path=images / f"{name}.png")
    print(images / f"{name}.png")


if __name__ == "__main__":
    main()
