"""MLflow's pages on the studies of a store, as lines for people."""

from collections.abc import Iterable, Iterator

from mlflow.entities import Experiment

from nertransfer.core import schema
from nertransfer.registry.aliases import champions
from nertransfer.tracking import project, store_files, ui_links
from nertransfer.tracking.addresses import is_served, public_uri
from nertransfer.tracking.store import FINISHED, MlflowClient, Study

SHOWN = 5
"""So many studies are listed beside the newest."""
FINISHED_CELLS = f"tags.{schema.KIND} = '{schema.KIND_CELL}'{FINISHED}"


def overview(store: MlflowClient, server: str, how: str = "") -> str:
    """The pages of the newest study, and one page of each of a few others, a line each. ``how``: to end it."""
    found = list(studies(store))
    if not found:
        everything = ui_links.experiments_page(server)
        return f"no study is in {public_uri(store.tracking_uri)} yet; MLflow is at {everything}{how}"
    for one in found:
        store_files.tell_of(Study(store, one.experiment_id, one.name))
    newest, *others = found
    lines = [f"in MLflow{how}:", f"study {newest.name}", *_lines(of_experiment(store, server, newest))]
    if others:
        lines += ["other studies", *_lines((one.name, _first_page(server, one)) for one in others[:SHOWN])]
    if len(others) > SHOWN:
        lines.append(f"  and {len(others) - SHOWN} more: {ui_links.experiments_page(server)}")
    return "\n".join(lines)


def of_study(store: MlflowClient, experiment_id: str) -> str:
    """The pages of one study, a line each, and how to start the server that has them where none runs."""
    uri = store.tracking_uri
    served = is_served(uri)
    command = project.command("ui", {"tracking_uri": public_uri(uri)})
    head = "in MLflow:" if served else f"in MLflow (start it with: {command}):"
    server = public_uri(uri) if served else ui_links.LOCAL
    return "\n".join([head, *_lines(of_experiment(store, server, store.get_experiment(experiment_id)))])


def studies(store: MlflowClient) -> Iterator[Experiment]:
    """The experiments that have a finished cell, the one with the newest first."""
    newest = {}
    for experiment in store.search_experiments(max_results=1000):
        runs = store.search_runs(
            [experiment.experiment_id], FINISHED_CELLS, max_results=1, order_by=["attributes.end_time DESC"]
        )
        if runs:
            newest[experiment.experiment_id] = runs[0].info.end_time or 0, experiment
    for _, experiment in sorted(newest.values(), key=lambda pair: -pair[0]):
        yield experiment


def _views(experiment: Experiment) -> list[str]:
    return [name for name in ui_links.VIEWS if ui_links.VIEW_TAG + name in experiment.tags]


def _first_page(server: str, experiment: Experiment) -> str:
    return ui_links.runs_page(server, experiment.experiment_id, next(iter(_views(experiment)), ""))


def of_experiment(store: MlflowClient, server: str, experiment: Experiment) -> list[tuple[str, str]]:
    """The pages of one study by their titles."""
    views = _views(experiment)
    runs = store.search_runs([experiment.experiment_id], FINISHED_CELLS, max_results=10_000)
    sources = sorted({run.data.tags.get(schema.SOURCE, "") for run in runs} - {""})
    return ui_links.listed(server, experiment.experiment_id, views, champions(store, sources))


def _lines(found: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {title:<20} {address}" for title, address in found]
