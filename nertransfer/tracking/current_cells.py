"""Which finished runs count: of several runs of one cell's place in the grid, the one asked for last.

Readers and the registry must agree on this, so it stands here once. Pure functions over runs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from mlflow.entities import Run

from nertransfer.core import schema
from nertransfer.core.grid import FewShot, FewShotPlace, Place

AnyPlace = TypeVar("AnyPlace", bound=Place | FewShotPlace)


def place_of(run: Run) -> Place | None:
    """The place of a cell run; None where its tags do not say, and of one with a few sentences of a target."""
    tags = run.data.tags
    return None if schema.FEW_SHOT_LANGUAGE in tags else _place(tags)


def few_shot_place_of(run: Run) -> FewShotPlace | None:
    """The place of a cell with a few sentences of a target; None of others, and where its tags do not say."""
    tags = run.data.tags
    place, sentences = _place(tags), tags.get(schema.FEW_SHOT_SENTENCES, "")
    if place is None or schema.FEW_SHOT_LANGUAGE not in tags or not (sentences.isdecimal() and sentences.isascii()):
        return None
    few = FewShot(tags[schema.FEW_SHOT_LANGUAGE], int(sentences), tags.get(schema.FEW_SHOT_MODE, ""))
    return *place, few


def _place(tags: Mapping[str, str]) -> Place | None:
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


def of_planned_recipe(runs: Sequence[Run], studies: Iterable[Run]) -> list[Run]:
    """The runs that have the `planned_recipe`; all of them where there is none. The predictions of a system, which
    were imported, have no recipe and always count."""
    recipe = planned_recipe(studies)
    return [
        run
        for run in runs
        if recipe is None or run.data.tags.get(schema.RECIPE_DIGEST) == recipe or schema.SYSTEM in run.data.tags
    ]


def current_cells(finished: Sequence[Run], studies: Sequence[Run]) -> dict[Place, Run]:
    """The run that counts for every place: of the latest study's recipe, the one asked for last.

    Cells of other recipes never mix with them; without a study run all recipes count. Cells with a few sentences of a
    target are none of them: `current_few_shot_cells`.
    """
    return _current(finished, studies, place_of)


def current_few_shot_cells(finished: Sequence[Run], studies: Sequence[Run]) -> dict[FewShotPlace, Run]:
    """The same for the cells with a few sentences of a target."""
    return _current(finished, studies, few_shot_place_of)


def _current(
    finished: Sequence[Run], studies: Sequence[Run], place_of: Callable[[Run], AnyPlace | None]
) -> dict[AnyPlace, Run]:
    runs = of_planned_recipe(finished, studies)
    return {place: run for run in sorted(runs, key=last_asked) if (place := place_of(run)) is not None}
