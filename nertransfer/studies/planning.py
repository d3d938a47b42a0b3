"""Lays out the grid of a study: first in names, then with corpora, starts and cells.

Names cost nothing and are known before anything is downloaded; everything else is read
strictly, before the first cell runs.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from nertransfer.core import grid
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.grid import check_code
from nertransfer.core.options import PLANTED, DataOptions, Recipe
from nertransfer.core.text import did_you_mean
from nertransfer.corpora import corpus as corpora_of
from nertransfer.corpora.corpus import Corpus, union
from nertransfer.corpora.languages import LANGUAGES, Language
from nertransfer.corpora.planted.settings import LANGUAGES as PLANTED_LANGUAGES
from nertransfer.encoders import starts
from nertransfer.training import planted_starts
from nertransfer.training.cell import Cell, make_cell
from nertransfer.training.run_cell import CellData, splits_of

logger = logging.getLogger("nertransfer")

LONGEST_SOURCE = 130
"""Characters of several languages that are joined: with a category, measure and split, MLflow takes 250 in a metric."""


@dataclass(frozen=True)
class Grid:
    """A study in names.

    ``starts``: as asked, with `grid.OWN` in it; ``sources``, ``pivots``, ``targets``, ``seeds``; ``texts``: for
    every start that is needed, by name, what it is loaded from (as `starts.resolve` takes it). ``few_shot_languages``,
    ``few_shot_sentences`` and ``few_shot_mode``: of which targets a few sentences are used, how many, and how.
    ``languages``: every one whose corpus is needed, in the order of the data.
    """

    starts: list[str]
    sources: list[str]
    pivots: list[str]
    targets: list[str]
    seeds: list[int]
    texts: dict[str, str]
    few_shot_languages: Sequence[str] = ()
    few_shot_sentences: Sequence[int] = ()
    few_shot_mode: str = grid.ADDED
    languages: tuple[str, ...] = ()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(start, source) of every configuration."""
        return grid.pairs(self.starts, self.sources, self.pivots)

    @property
    def configurations(self) -> list[grid.Configuration]:
        """Every configuration, those with a few sentences of a target included."""
        return grid.configurations(self.pairs, self.few_shot_languages, self.few_shot_sentences, self.few_shot_mode)

    @property
    def params(self) -> dict[str, str]:
        """The axes as they are tracked with a study's run, for the report to lay them out again."""
        axes = {name: getattr(self, name) for name in ("starts", "sources", "pivots", "targets", "seeds")}
        return {name: ",".join(map(str, values)) for name, values in axes.items()}


def lay_out(config: StudyConfig) -> Grid:
    """The grid of a study, without reading a corpus or loading a start.

    Raises InputError on languages that the data has not, on starts that cannot be meant, and where
    ``own`` has no start for a source.
    """
    existing = corpora_of.names(config.data)
    sources = pick_sources("sources", config.sources, config.data)
    pivots = pick("pivots", config.pivots, trainable(config.data)) if config.pivots else []
    targets = pick("targets", config.targets, existing)
    few_shot = pick("few_shot_languages", config.few_shot_languages, targets) if config.few_shot_languages else []
    catalogue = catalogue_names(config.data)
    asked = {text: text if text == grid.OWN else _name(text, catalogue, "starts") for text in config.starts}
    names = list(asked.values())
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two starts are called {name!r}; give one another name with name=...", "starts", name)
    texts = {name: text for text, name in asked.items() if name != grid.OWN}
    for text in config.adapted:
        if texts.setdefault(_name(text, catalogue, "adapted"), text) != text:
            raise InputError(f"adapted={text!r} and starts name two different starts alike", "adapted", text)
    for name in grid.start_names(names, sources, pivots):
        if name in texts:
            continue
        if name not in catalogue:
            raise InputError(
                f"starts=own: no start is known that was adapted to {name}; name it with adapted={name}=<start>",
                "starts" if grid.OWN in names else "pivots", grid.OWN,
            )  # fmt: skip
        texts[name] = name
    if not grid.pairs(names, sources, pivots):
        raise InputError("starts=own: every source is of several languages, to which no start was adapted", "starts")
    used = set(grid.start_names(names, sources, pivots))
    texts = {name: text for name, text in texts.items() if name in used}
    needed = {*pivots, *targets, *(language for source in sources for language in grid.languages_of(source))}
    return Grid(
        names, sources, pivots, targets, list(config.seeds), texts, few_shot, config.few_shot_sentences,
        config.few_shot_mode, tuple(name for name in existing if name in needed),
    )  # fmt: skip


def _name(text: str, catalogue: Collection[str], parameter: str) -> str:
    try:
        return starts.resolve(text, dict.fromkeys(catalogue, "")).name
    except InputError as error:
        raise InputError(str(error), parameter, text) from None


def catalogue_names(data: DataOptions) -> list[str]:
    """Names of the starts that need no location with these data."""
    return list(planted_starts.NAMES if data.data == PLANTED else starts.CATALOGUE)


def known_languages(data: DataOptions) -> Mapping[str, Language]:
    """Names and families of the languages that the data may have."""
    return {language.code: language for language in PLANTED_LANGUAGES} if data.data == PLANTED else LANGUAGES


def languages_to_load(data: DataOptions, *wanted: Sequence[str]) -> DataOptions:
    """The data options, limited to the languages that are wanted where all groups are named."""
    if data.languages or not all(wanted):
        return data
    return replace(data, languages=tuple(dict.fromkeys(name for group in wanted for name in group)))


def pick(parameter: str, names: Sequence[str], existing: Collection[str]) -> list[str]:
    """The named languages, or all; raises InputError on one that does not exist, or that no language can be called."""
    for name in names:
        if name not in existing:
            near = did_you_mean(name, existing)
            raise InputError(
                f"{parameter}={name} is not in the data: one of {', '.join(existing)}{near}", parameter, name
            )
    return [check_code(name, parameter) for name in (names or existing)]


def trainable(data: DataOptions) -> tuple[str, ...]:
    """The languages that are asked for and can be sources; raises InputError where there is none."""
    alone = corpora_of.targets_alone(data)
    found = tuple(name for name in corpora_of.names(data) if name not in alone)
    if not found:
        raise InputError(f"data={data.data!r} has test splits alone: no language of it can be a source", "data")
    return found


def pick_sources(parameter: str, names: Sequence[str], data: DataOptions) -> list[str]:
    """The named sources, or every language with train data; joined ones are in the order of all that the data have.

    Raises InputError on a language that does not exist or has no train data, and on one that is named twice in a
    source, or a source twice.
    """
    existing, order = corpora_of.names(data), corpora_of.names(replace(data, languages=()))
    can = trainable(data)
    found: dict[str, str] = {}
    for name in names:
        parts = [part.strip() for part in name.split(grid.SEPARATOR)]
        for part in parts:
            if part not in can:
                why = "is not in the data" if part not in existing else f"cannot be used: {part} has a test split alone"
                raise InputError(
                    f"{parameter}={name} {why}: one of {', '.join(can)}, or several joined by {grid.SEPARATOR!r}"
                    f"{did_you_mean(part, can)}", parameter, name,
                )  # fmt: skip
            check_code(part, parameter, name)
            if parts.count(part) > 1:
                raise InputError(f"{parameter}={name} is not allowed: {part} is named twice", parameter, name)
        normal = grid.SEPARATOR.join(sorted(parts, key=order.index))
        if len(normal) > LONGEST_SOURCE:
            raise InputError(
                f"{parameter}={name} is not allowed: the joined name has {len(normal)} characters, more than "
                f"{LONGEST_SOURCE}", parameter, name,
            )  # fmt: skip
        if normal in found:
            raise InputError(f"{parameter}: {found[normal]} and {name} are the same source", parameter, name)
        found[normal] = name
    return list(found) or pick(parameter, (), can)


@dataclass(frozen=True)
class Plan:
    """A resolved grid: every cell, every corpus that is needed, and those that are scored."""

    cells: list[Cell]
    corpora: dict[str, Corpus]
    targets: dict[str, Corpus]

    def data_of(self, cell: Cell) -> CellData:
        """What a cell is made of; it is scored on the targets, or the one it has a few sentences of, and on its own."""
        own, few = union(self.corpora, cell.own), cell.few_shot
        targets = [few.language] if few else list(self.targets)
        splits = splits_of(self.corpora | {cell.own: own}, list(dict.fromkeys([*targets, cell.own])))
        return CellData(own, splits, self.corpora[few.language] if few else None)

    def is_gone_on_from(self, cell: Cell) -> bool:
        """Whether other cells begin with the weights of this one, so that they are not to be made once for each."""
        return any(one.first_stage is not None and one.first_stage.place == cell.place for one in self.cells)


def cell_of(
    configuration: grid.Configuration,
    seed: int,
    resolved: Mapping[str, starts.Start],
    identities: Mapping[str, starts.Identity],
    corpora: Mapping[str, Corpus],
    recipe: Recipe,
) -> Cell:
    """The cell of a configuration; starts and what is known of them by name. Raises InputError as `make_cell` does."""
    start, source, few = configuration
    target = corpora[few.language] if few else None
    corpus = target if few and target and source == grid.NONE else union(corpora, source)
    return make_cell(resolved[start], identities[start], corpus, seed, recipe, few, target)


def make_plan(found: Grid, corpora: dict[str, Corpus], resolved: Sequence[starts.Start], recipe: Recipe) -> Plan:
    """The cells of a grid, by start, then source, then seed. Loads each start once to know its weights.

    Raises InputError where a start cannot be loaded, and as `make_cell` does."""
    by_name = {start.name: start for start in resolved}
    identities = {name: starts.identify(start) for name, start in by_name.items()}
    _warn_about_twins(identities)
    cells = [
        cell_of(configuration, seed, by_name, identities, corpora, recipe)
        for configuration in found.configurations
        for seed in found.seeds
    ]
    return Plan(cells, corpora, {name: corpora[name] for name in found.targets})


def _warn_about_twins(identities: Mapping[str, starts.Identity]) -> None:
    by_fingerprint: dict[str, list[str]] = {}
    for name, identity in identities.items():
        by_fingerprint.setdefault(identity.fingerprint, []).append(name)
    for names in by_fingerprint.values():
        if len(names) > 1:
            logger.warning("starts %s have the same weights under different names", " and ".join(names))
