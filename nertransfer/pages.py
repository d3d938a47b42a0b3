"""Addresses of MLflow's pages on a study, and what its runs table shows when it is opened by them.

MLflow keeps the state of a shared runs table as JSON in a tag of the experiment, and an address names the tag; see
"Share" on that page. So a link opens the table with columns, filter and groups that answer a question.
"""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from nertransfer import schema

VIEW_TAG = "mlflow.sharedViewState."
EXPERIMENT_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag that has MLflow open the experiment on its runs rather than on traces of language models."""
CELLS, CONFIGURATIONS = "cells", "configurations"
LOCAL = "http://127.0.0.1:5000"
"""Where ``make ui`` and ``mlflow ui`` listen."""
TAG_LIMIT = 20_000
"""Characters that MLflow takes in a tag of an experiment."""
COMPARED = 20
"""So many runs stand side by side on the compare page, at most."""


def view_tags(targets: Sequence[str], configurations: Sequence[str]) -> dict[str, str]:
    """Tags of an experiment: the runs table with start, source, seed and test F1 on every target, a row per cell
    (`CELLS`) or per start and source with means over seeds (`CONFIGURATIONS`, folded where all their names fit).

    A view that is beyond `TAG_LIMIT` is left out: its link opens the plain table.
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
    texts = {
        CELLS: json.dumps(cells),
        CONFIGURATIONS: whole if len(whole) <= TAG_LIMIT else json.dumps(means),
    }
    return {VIEW_TAG + name: text for name, text in texts.items() if len(text) <= TAG_LIMIT}


def runs_page(server: str, experiment_id: str, view: str) -> str:
    """The runs table of a study in one of its views."""
    return _page(server, f"experiments/{experiment_id}/runs", viewStateShareKey=view)


def run_page(server: str, experiment_id: str, run_id: str) -> str:
    """A run; without a server the address on the same one."""
    return _page(server, f"experiments/{experiment_id}/runs/{run_id}")


def compare_page(server: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Runs side by side: parameters and metrics, the first `COMPARED`."""
    runs, experiments = (json.dumps(ids, separators=(",", ":")) for ids in (run_ids[:COMPARED], [experiment_id]))
    return _page(server, "compare-runs", runs=runs, experiments=experiments)


def model_page(server: str, name: str) -> str:
    """A registered model."""
    return _page(server, f"models/{quote(name, safe='')}")


def _page(server: str, path: str, **parameters: str) -> str:
    # MLflow opens on its pages for language models unless told otherwise; the compare page wants its runs first
    base = f"{server.rstrip('/')}/" if server else ""
    return f"{base}#/{path}?{urlencode(parameters | {'workflowType': 'machine_learning'})}"


def listed(server: str, experiment_id: str, champions: Mapping[str, str]) -> list[tuple[str, str]]:
    """What to look at, and its address. ``champions``: the run of each registered model's champion, by its name;
    empty where it has none."""
    found = [
        ("every cell", runs_page(server, experiment_id, CELLS)),
        ("means over seeds", runs_page(server, experiment_id, CONFIGURATIONS)),
    ]
    runs = [run for run in champions.values() if run]
    if len(runs) > 1:
        found.append(("champions compared", compare_page(server, experiment_id, runs)))
    return found + [(name, model_page(server, name)) for name in champions]
