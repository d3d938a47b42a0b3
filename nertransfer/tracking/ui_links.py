"""Addresses of MLflow's pages on a study, and what its runs table shows when it is opened by them.

MLflow keeps the state of a shared runs table as JSON in a tag of the experiment, and an address names the tag; see
"Share" on that page. So a link opens the table with columns, filter and groups that answer a question.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import quote, urlencode

from nertransfer.core import schema
from nertransfer.core.config import UiConfig

VIEW_TAG = "mlflow.sharedViewState."
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag that has MLflow open the experiment on its runs rather than on traces of language models."""
CONFIGURATIONS, CHAMPIONS, CELLS, CHARTS = "configurations", "champions", "cells", "charts"
VIEWS = {CONFIGURATIONS: "means over seeds", CHAMPIONS: "champions compared", CELLS: "every cell", CHARTS: "charts"}
"""What they show, the one that answers most first."""
LOCAL = f"http://127.0.0.1:{UiConfig.port}"
"""Where the entry point ``ui`` answers by default."""
TAG_LIMIT = 20_000
"""Characters that MLflow takes in a tag of an experiment."""


def view_tags(targets: Sequence[str], configurations: Sequence[str], champions: Sequence[str]) -> dict[str, str]:
    """Tags of an experiment: the runs table with start, source, seed and test F1 on every target, a row per cell
    (`CELLS`), per best cell of a source (`CHAMPIONS`, by their run ids) or per start and source with means over seeds
    (`CONFIGURATIONS`, folded where all their names fit); and charts of every cell (`CHARTS`): parallel coordinates of
    start, source, seed and F1, bars of F1 by target, and the loss.

    MLflow's own page for comparing runs opens on the metric that was logged first, the loss. A view that is beyond
    `TAG_LIMIT` is left out.
    """
    named = [f"tags.`{name}`" for name in (schema.START, schema.SOURCE, schema.SEED)]
    scores = [f"metrics.`{schema.ScoreName('test', schema.F1, target).key}`" for target in targets]
    cells = {
        "searchFilter": f"tags.{schema.KIND} = '{schema.KIND_CELL}' AND attributes.status = 'FINISHED'",
        "orderByKey": f"tags.`{schema.CONFIGURATION}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "selectedColumns": [*named, *scores],
        "runListHidden": False,
    }
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": schema.CONFIGURATION}]}
    folded = {f"tag.{schema.CONFIGURATION}.{name}": False for name in configurations}
    means = cells | {"selectedColumns": scores, "groupBy": grouped}
    whole = json.dumps(means | {"groupsExpanded": folded})
    wanted = ", ".join(f"'{run_id}'" for run_id in champions)
    texts = {
        CELLS: json.dumps(cells),
        **({CHAMPIONS: json.dumps(cells | {"searchFilter": f"attributes.run_id IN ({wanted})"})} if champions else {}),
        CONFIGURATIONS: whole if len(whole) <= TAG_LIMIT else json.dumps(means),
        CHARTS: json.dumps(cells | _charts(targets)),
    }
    return {VIEW_TAG + name: text for name, text in texts.items() if len(text) <= TAG_LIMIT}


def _charts(targets: Sequence[str]) -> dict[str, object]:
    """The part of the table's state that says which charts it opens with; MLflow adds those of other metrics below."""
    f1 = [schema.ScoreName("test", schema.F1, target).key for target in targets]
    params = [f"{schema.CONFIG}{name}" for name in (schema.START, schema.SOURCE, schema.SEED)]
    sections: dict[str, tuple[int, list[dict[str, object]]]] = {
        "Start, source, seed and test F1": (
            1, [{"type": "PARALLEL", "selectedParams": params, "selectedMetrics": list(f1), "showAllRuns": True}]
        ),
        "Test F1 by target": (3, [{"type": "BAR", "metricKey": key} for key in f1]),
        "Training loss": (1, [{"type": "LINE", "metricKey": "train_loss", "selectedMetricKeys": ["train_loss"]}]),
    }  # fmt: skip
    return {
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns}
            for name, (columns, _) in sections.items()
        ],
        "compareRunCharts": [
            {"uuid": f"{name} {number}", "metricSectionId": name, "deleted": False, "isGenerated": False, **chart}
            for name, (_, charts) in sections.items()
            for number, chart in enumerate(charts)
        ],
        "isAccordionReordered": True,  # else they would be sorted by name
        "runsHiddenMode": "SHOWALL",
    }


def experiments_page(server: str) -> str:
    """The list of all experiments."""
    return _page(server, "experiments")


def runs_page(server: str, experiment_id: str, view: str = "") -> str:
    """The runs table of a study, in one of its views."""
    parameters = {"viewStateShareKey": view} if view else {}
    parameters |= {"compareRunsMode": "CHART"} if view == CHARTS else {}
    return _page(server, f"experiments/{experiment_id}/runs", **parameters)


def run_page(server: str, experiment_id: str, run_id: str) -> str:
    """A run; without a server the address on the same one."""
    return _page(server, f"experiments/{experiment_id}/runs/{run_id}")


def model_page(server: str, name: str) -> str:
    """A registered model."""
    return _page(server, f"models/{quote(name, safe='')}")


def _page(server: str, path: str, **parameters: str) -> str:
    # MLflow opens on its pages for language models unless told otherwise
    base = f"{server.rstrip('/')}/" if server else ""
    return f"{base}#/{path}?{urlencode(parameters | {'workflowType': 'machine_learning'})}"


def listed(server: str, experiment_id: str, views: Collection[str], models: Iterable[str]) -> list[tuple[str, str]]:
    """What to look at, and its address: the ``views`` that the study has, else its plain runs table, and registered
    ``models``."""
    shown = [(title, runs_page(server, experiment_id, view)) for view, title in VIEWS.items() if view in views]
    shown = shown or [("runs", runs_page(server, experiment_id))]
    return shown + [(name, model_page(server, name)) for name in models]
