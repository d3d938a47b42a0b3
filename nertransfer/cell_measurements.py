"""What a finished cell measured, as plain values: curves, scores, predictions, resources."""

from nertransfer import schema
from nertransfer.cell import CellResult, Resources
from nertransfer.config import Recipe
from nertransfer.finetune import History, learning_rate
from nertransfer.labels import ALL
from nertransfer.measurements import Measurements, Point, milliseconds, of_scores, scores_table

CURVE_POINTS = 100
"""At most so many points of the loss curve are kept; each is the mean over the steps since the last."""


def of_cell(result: CellResult) -> Measurements:
    """The curves, scores, predictions and resources of a finished cell."""
    cell, now = result.cell, milliseconds()
    found = of_scores(result.scored, cell.key)
    found.points = curve(result.history, cell.recipe) + found.points + resource_points(result.resources)
    found.points.append(Point("kept_epoch", result.history.kept_epoch, now))
    found.points += [
        Point(f"source_{s.split.name}_f1", s.scores.default[ALL].f1, now)
        for s in result.scored
        if s.split.language == cell.own
    ]
    found.tags |= {schema.NOTE: cell_note(result), schema.DEVICE: result.resources.device}
    return found


def curve(history: History, recipe: Recipe) -> list[Point]:
    """Loss and learning rate over optimiser steps, speed and dev F1 over epochs.

    ``train_loss`` in nats per labelled word, ``tokens_per_second`` in real sub-tokens.
    """
    now, total = milliseconds(), history.steps_per_epoch * recipe.epochs
    every = max(1, -(-total // CURVE_POINTS))
    points: list[Point] = []
    steps = len(history.losses)
    ends = [*range(every, steps + 1, every), *([steps] if steps == total and steps % every else [])]
    for begin, end in zip([0, *ends], ends, strict=False):
        window, epoch = history.losses[begin:end], (end - 1) // history.steps_per_epoch + 1
        points.append(Point("train_loss", sum(window) / len(window), now, end, epoch=epoch))
        points.append(Point("learning_rate", learning_rate(end - 1, total, recipe), now, end, epoch=epoch))
    for epoch, seconds in enumerate(history.seconds, start=1):
        points.append(Point(schema.SPEED, history.tokens / max(seconds, 1e-9), now, epoch, epoch=epoch))
        if epoch <= len(history.dev_f1):
            points.append(Point("epoch_dev_f1", history.dev_f1[epoch - 1], now, epoch, epoch=epoch))
    return points


def resource_points(resources: Resources) -> list[Point]:
    """Seconds, bytes and counts a cell needed."""
    values = {
        "train_seconds": resources.train_seconds,
        "score_seconds": resources.score_seconds,
        "peak_memory_bytes": resources.peak_memory,
        "processes": resources.processes,
        "threads": resources.threads,
    }
    now = milliseconds()
    return [Point(name, float(value), now) for name, value in values.items()]


def cell_note(result: CellResult) -> str:
    """The run's note: what it is, and its test scores."""
    cell = result.cell
    tests = [s for s in result.scored if s.split.name == "test"]
    source = f"**{cell.source}**"
    told = cell.few_shot.after(source) if cell.few_shot else source
    return (
        f"**{cell.start.name}** fine-tuned on {told}, seed {cell.seed}. Entity-level micro scores "
        f"on the test splits, percent (seqeval, default mode).\n\n{scores_table(tests, cell.own)}"
    )
