"""Which finished runs count: of several runs of one cell's place in the grid, the one asked for last.

Readers and the registry must agree on this, so it stands here once. Pure functions over runs.
"""

from collections.abc import Iterable, Sequence

from mlflow.entities import Run

from nertransfer import schema

Place = tuple[str, str, int]
"""(start, source, seed): a place in the grid of a study."""


def place_of(run: Run) -> Place | None:
    """The place of a cell run; None where its tags do not say."""
    tags = run.data.tags
    start, source, seed = (tags.get(name, "") for name in (schema.START, schema.SOURCE, schema.SEED))
    return (start, source, int(seed)) if start and source and seed.isdecimal() and seed.isascii() else None


def last_asked(run: Run) -> tuple[int, str]:
    """When a study or a training last asked for this run, in milliseconds, and its id to break ties."""
    asked = run.data.tags.get(schema.ASKED_AT, "0")
    return max(run.info.end_time or 0, int(asked) if asked.isdecimal() else 0), run.info.run_id


def planned_recipe(studies: Iterable[Run]) -> str | None:
    """Recipe digest of the latest study run; None where no study ran or that one is of several recipes."""
    latest = max(studies, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    return latest.data.tags.get(schema.RECIPE_DIGEST) if latest else None


def current_cells(finished: Sequence[Run], studies: Sequence[Run]) -> dict[Place, Run]:
    """The run that counts for every place: of the latest study's recipe, the one asked for last.

    Cells of other recipes never mix with them; without a study run all recipes count.
    """
    recipe = planned_recipe(studies)
    runs = [run for run in finished if recipe is None or run.data.tags.get(schema.RECIPE_DIGEST) == recipe]
    return {place: run for run in sorted(runs, key=last_asked) if (place := place_of(run)) is not None}
