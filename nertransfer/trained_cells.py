"""The finished cells of a study that were fine-tuned here: those that count, and the seeds beside a cell."""

from collections.abc import Iterable

from nertransfer import schema
from nertransfer.cell import Cell, recipe_digest
from nertransfer.current import current_cells
from nertransfer.grid import Place
from nertransfer.store import Run, Study
from nertransfer.tracking import cell_runs, kind_runs, says_what_it_is


def finished_places(study: Study) -> dict[Place, Run]:
    """The finished run that counts for every (start, source, seed) of the study.

    None with sentences of a target, and none that was imported: of those there are no weights.
    """
    return places(study, cell_runs(study, "FINISHED"))


def places(study: Study, finished: Iterable[Run]) -> dict[Place, Run]:
    """`finished_places`, of all finished cells of the study: looking them up, with all their scores, takes its time."""
    return current_cells(_trained(finished), kind_runs(study, schema.KIND_STUDY))


def few_shot_runs(finished: Iterable[Run]) -> list[Run]:
    """Of finished cells those with a few sentences of a target; none of them is registered."""
    return [run for run in _trained(finished) if schema.FEW_SHOT_LANGUAGE in run.data.tags]


def rivals(study: Study, cell: Cell) -> list[Run]:
    """The finished seeds of the cell's start and source, same weights, corpus and recipe."""
    wanted = {
        schema.START: cell.start.name,
        schema.SOURCE: cell.source,
        schema.START_FINGERPRINT: cell.identity.fingerprint,
        schema.RECIPE_DIGEST: recipe_digest(cell.recipe),
        schema.TRAIN_DIGEST: cell.corpus_digests[0],
    }
    condition = "".join(f" and tags.{name} = '{value}'" for name, value in wanted.items())
    return _trained(cell_runs(study, "FINISHED", condition))


def _trained(runs: Iterable[Run]) -> list[Run]:
    """Those that were fine-tuned here rather than imported, and say what they are."""
    return [run for run in runs if schema.IMPORTED not in run.data.tags and says_what_it_is(run)]
