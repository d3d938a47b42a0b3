"""The aliases of registered models: where they point, when they move, why they stay, which versions were champion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from nertransfer.core import schema
from nertransfer.registry.selection import PIN, Choice, Lineage, differences, lineage, lineage_of
from nertransfer.tracking.store import MlflowClient, ModelVersion, Run, Study, run_of_version


@dataclass(frozen=True)
class Change:
    """One thing that registering did, or (``held``) did not do without being told to, in words for people.

    ``failed``: it tried, and the text has the cause; the same command tries again.
    """

    model: str
    text: str
    held: bool = False
    failed: bool = False


def champions(client: MlflowClient, sources: Iterable[str]) -> dict[str, str]:
    """The run of the champion of every registered model of these sources, if it has one, by the model's name."""
    found = {}
    for name in map(schema.model_name, sources):
        try:
            found[name] = client.get_model_version_by_alias(name, schema.CHAMPION).run_id or ""
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    return found


def move_aliases(
    study: Study,
    name: str,
    wanted: Mapping[str, tuple[Choice, ModelVersion]],
    weights: Mapping[str, str],
    replace: frozenset[str],
) -> list[Change]:
    """Point every alias at the version that is wanted there, or say why it stays.

    ``weights``: fingerprints of the starts by name, as they are now.
    """
    client = study.client
    model = client.get_registered_model(name)
    changes = []
    for alias, (choice, chosen) in wanted.items():
        before = model.aliases.get(alias)
        pin = model.tags.get(schema.CHAMPION_PINNED) if alias == schema.CHAMPION else None
        if pin and (PIN in replace or before is None):  # what it was pinned to has been deleted
            client.delete_registered_model_tag(name, schema.CHAMPION_PINNED)
            changes.append(Change(name, f"alias {alias} is no longer pinned ({pin})"))
        if before is None:
            move_alias(client, model, alias, chosen.version)
            changes.append(Change(name, f"alias {alias} points to version {chosen.version}: {choice.words}"))
        elif int(before) != int(chosen.version):
            old = client.get_model_version(name, str(before))
            new = lineage_of(choice.run, study.name)
            reasons = differences(version_lineage(old, run_of_version(old, client)), new, weights)
            held = ({PIN: f"it is pinned ({pin})"} if pin else {}) | reasons
            held = {reason: text for reason, text in held.items() if reason not in replace}
            if held:
                stays = _staying(study.name, alias, old, choice, chosen, list(held.values()))
                changes.append(Change(name, stays, held=True))
                continue
            why = "; ".join(reasons.values()) or _better(old, choice)
            move_alias(client, model, alias, chosen.version)
            moved = f"alias {alias} moved from version {before} to version {chosen.version}: {choice.words}"
            changes.append(Change(name, f"{moved}; {_score_before(old, choice)}; {why}"))
    return changes


def move_alias(
    client: MlflowClient, model: RegisteredModel, alias: str, version: int | str, back: bool = False
) -> None:
    """Point an alias at a version; the champion's history is written first. ``back``: as a rollback."""
    if alias == schema.CHAMPION:
        history = model.tags.get(schema.CHAMPION_HISTORY, "")
        if schema.CHAMPION in model.aliases:  # moved by hand, or before there was a history
            history = appended(history, model.aliases[schema.CHAMPION])
        history = appended(history, version, back)
        client.set_registered_model_tag(model.name, schema.CHAMPION_HISTORY, history)
    client.set_registered_model_alias(model.name, alias, str(version))


def version_lineage(version: ModelVersion, run: Run | None) -> Lineage:
    """What a version was made from, by its tags; older versions have but some of them, and their run the others. It
    has none where that was deleted for good."""
    if run is None:
        return lineage(version.tags, {}, "")
    return lineage(run.data.tags | version.tags, run.data.params, "")


def _staying(
    study: str, alias: str, old: ModelVersion, choice: Choice, chosen: ModelVersion, reasons: Sequence[str]
) -> str:
    return (
        f"alias {alias} stays at version {old.version}: {'; '.join(reasons)}. Best of study {study} is version "
        f"{chosen.version}: {choice.words}; {_score_before(old, choice)}. replace=true moves the alias"
    )


def _score_before(old: ModelVersion, choice: Choice) -> str:
    f1 = old.tags.get(schema.f1_tag(choice.selection_split))
    known = f"{100 * float(f1):.2f} %" if f1 else "no score"
    return f"{choice.selection_split} F1 of version {old.version}: {known}"


def _better(old: ModelVersion, choice: Choice) -> str:
    """Why a choice is preferred to a version that it can be compared with."""
    split = old.tags.get(schema.SELECTION_SPLIT, choice.selection_split)
    if split != choice.selection_split:
        return f"chosen by {choice.selection_split} F1, no longer by {split} F1"
    if old.tags.get(schema.CELL_KEY) == choice.key and old.tags.get(schema.START) == choice.start:
        return "a later version of the same cell"
    f1 = float(old.tags.get(schema.f1_tag(split), "nan"))
    if choice.f1 > f1:
        return "a higher score"
    if choice.f1 == f1:
        return "an equal score, and the first of equals by seed and start"
    return f"the cell of version {old.version} is no longer among those that count"


BACK = "back to "
LONGEST = 4000
"""Characters; the oldest entries go first. MLflow keeps 5000 of a tag of a registered model."""


def appended(history: str, version: int | str, back: bool = False) -> str:
    """The history with one more entry, unless it ends there already."""
    entries = _entries(history)
    stack = champions_in(history)
    if not stack or stack[-1] != int(version):
        entries.append(f"{BACK if back else ''}{int(version)}")
    while len(", ".join(entries)) > LONGEST:
        entries.pop(0)
    return ", ".join(entries)


def champions_in(history: str) -> list[int]:
    """The versions that a rollback goes through, the present one last; what was rolled back is not among them."""
    stack: list[int] = []
    for entry in _entries(history):
        version = int(entry.removeprefix(BACK))
        if entry.startswith(BACK) and version in stack:
            while stack[-1] != version:
                stack.pop()
        else:
            stack.append(version)
    return stack


def previous(history: str, current: int, existing: Sequence[int]) -> int | None:
    """The champion before the ``current`` one, of those that exist; None where the history knows none."""
    stack = champions_in(history)
    if current in stack:
        stack = stack[: len(stack) - 1 - stack[::-1].index(current)]
    return next((version for version in reversed(stack) if version in existing and version != current), None)


def _entries(history: str) -> list[str]:
    return [entry for entry in history.split(", ") if entry]
