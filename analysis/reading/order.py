"""The planned grid of a study, and the order in which starts, sources and targets are shown. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from mlflow.entities import Run

from analysis.reading.results import FEW_SHOT, StudyResults, packed_values
from nertransfer.core import grid, schema
from nertransfer.core.errors import InputError
from nertransfer.core.schema import ALL
from nertransfer.core.text import did_you_mean
from nertransfer.corpora.languages import LANGUAGES

FRAMES = ("frame", "overall", "cells", "duplicates", "digests")
"""What `StudyResults` and `FewShotResults` have alike."""

FURTHER = ("unions", "unknown_words", "unaligned")
"""What `StudyResults` has besides."""

# --- the grid, and the order of everything --------------------------------------------------------


def planned_grid(studies: Sequence[Run]) -> dict[str, list] | None:
    """Starts, sources, targets and seeds of the latest study run that tells them; None without one."""
    names = ("starts", "sources", "targets", "seeds", "pivots")
    for run in sorted(studies, key=lambda run: (run.info.start_time, run.info.run_id), reverse=True):
        # a study without pivots may have been tracked before there were any
        texts = [run.data.params.get(schema.CONFIG + name, "") for name in names]
        lists = [[part.strip() for part in text.split(",") if part.strip()] for text in texts]
        axes: dict[str, list] = dict(zip(names, lists, strict=True))
        pivots = axes["pivots"]
        needed = [values for name, values in axes.items() if name != "pivots"]
        if all(needed) and all(seed.isdecimal() for seed in axes["seeds"]):
            told = schema.unpacked(run.data.tags, schema.PAIRS)
            pairs = [(start, source) for start, sources in told.items() for source in sources.split(",")]
            pairs = pairs or grid.pairs(axes["starts"], axes["sources"], pivots)
            return {
                "starts": list(dict.fromkeys(start for start, _ in pairs)),
                "sources": list(dict.fromkeys([*axes["sources"], *pivots])),
                "pivots": pivots,
                "targets": axes["targets"],
                "seeds": sorted(int(seed) for seed in axes["seeds"]),
                "pairs": pairs,
            }
    return None


def planned_few_shot(studies: Sequence[Run]) -> list[grid.Configuration] | None:
    """The configurations with a few sentences of a target that the latest study run tells; None without one."""
    latest = max(studies, key=lambda run: (run.info.start_time, run.info.run_id), default=None)
    axes = None if latest is None else planned_grid([latest])
    if latest is None or axes is None:
        return None
    names = (schema.FEW_SHOT_LANGUAGE + "s", schema.FEW_SHOT_SENTENCES, schema.FEW_SHOT_MODE)
    languages, sentences, mode = (latest.data.params.get(schema.CONFIG + name, "") for name in names)
    numbers = [int(text) for text in sentences.split(",") if text.strip().isdecimal()]
    wanted = [text.strip() for text in languages.split(",") if text.strip()]
    return [one for one in grid.configurations(axes["pairs"], wanted, numbers, mode) if one[2] is not None]


def families_of(cells: Sequence[Run]) -> dict[str, str]:
    """Family by language: as the runs' tags say (the newest wins), else as the list of known languages does."""
    return {code: language.family for code, language in LANGUAGES.items()} | packed_values(cells, schema.FAMILIES)


class Order:
    """The order of starts and languages, the same in every frame.

    ``systems``: the (start, source) whose predictions were imported. They are in no plan, and are added to it.
    """

    def __init__(
        self,
        planned: Mapping[str, list] | None,
        kept: Iterable[tuple[str, str, int]],
        scores: pd.DataFrame,
        systems: Collection[tuple[str, str]] = (),
    ) -> None:
        every = list(kept)
        self._systems = sorted(systems)
        self._trained = [place for place in every if place[:2] not in systems]
        identities = self._trained or every
        planned = planned or {}
        self._found = {
            "starts": sorted({start for start, _, _ in identities}),
            "sources": sorted({source for _, source, _ in identities}),
            "targets": sorted(set(scores["target"])),
            "seeds": sorted({seed for _, _, seed in identities}),
        }
        self._planned = planned
        starts = dict.fromkeys(
            [*planned.get("starts", []), *self._found["starts"], *sorted({name for name, _ in systems})]
        )
        self.starts = sorted(starts, key=lambda name: name != grid.BASE)  # stable: the rest keeps its order
        axes = ("sources", "targets")
        given = [name for found in (planned, self._found) for axis in axes for name in found.get(axis, [])]
        given += sorted({source for _, source in systems})
        self.languages = sorted(
            dict.fromkeys(given), key=lambda name: name == grid.NONE
        )  # stable: no language, so last

    def grid(self) -> dict[str, list]:
        """The planned grid in this order; without a plan, what was found."""
        axes = {name: list(self._planned.get(name) or found) for name, found in self._found.items()}
        axes["starts"].sort(key=self.starts.index)
        axes["sources"].sort(key=self.languages.index)
        axes["targets"].sort(key=self.languages.index)
        product = grid.pairs(axes["starts"], axes["sources"]) if self._trained else []
        pairs = list(dict.fromkeys([*(self._planned.get("pairs") or product), *self._systems]))
        for axis, place, order in (("starts", 0, self.starts), ("sources", 1, self.languages)):
            axes[axis] = sorted({*axes[axis], *(pair[place] for pair in self._systems)}, key=order.index)
        ranked = sorted(pairs, key=lambda pair: (self.starts.index(pair[0]), self.languages.index(pair[1])))
        return axes | {"pairs": ranked, "pivots": list(self._planned.get("pivots", []))}

    def sort(self, frame: pd.DataFrame) -> pd.DataFrame:
        return _sorted(frame, self.starts, self.languages)


def _sorted(frame: pd.DataFrame, starts: Sequence[str], languages: Sequence[str]) -> pd.DataFrame:
    """The frame's rows in order of all columns that name something, index renewed."""
    ranks = {
        "start": {name: i for i, name in enumerate(starts)},
        "source": {name: i for i, name in enumerate(languages)},
        "target": {name: i for i, name in enumerate(languages)},
        schema.FEW_SHOT_LANGUAGE: {name: i for i, name in enumerate(languages)},
        "split": {name: i for i, name in enumerate(schema.SCORED_SPLITS)},
    }
    by = [
        c
        for c in ("start", "source", *FEW_SHOT, "seed", "target", "split", "category", "ended", "run_id")
        if c in frame
    ]

    def key(column: pd.Series) -> pd.Series:
        if column.name in ranks:  # a failed cell may name what is nowhere else: last
            return column.map(ranks[str(column.name)]).fillna(len(ranks[str(column.name)])).astype(float)
        if column.name == "ended":  # what still runs ends after all that has
            return column.where(column != "", "running")
        return column.where(column != ALL, "") if column.name == "category" else column

    return frame.sort_values(by, key=key, kind="stable", ignore_index=True)


def in_order(found: StudyResults, languages: Sequence[str]) -> StudyResults:
    """The same results with the languages in another order, everywhere. Raises ValueError on other ones."""
    if sorted(languages) != sorted(found.languages):
        raise ValueError(f"{languages} are not the languages of the study, {found.languages}")
    starts = list(dict.fromkeys([*found.plan["starts"], *found.frame["start"]]))
    frames = {name: _sorted(getattr(found, name), starts, languages) for name in (*FRAMES, *FURTHER)}
    few = found.few_shot
    ordered = {name: _sorted(getattr(few, name), starts, languages) for name in FRAMES}
    rank = list(languages).index
    plan = found.plan | {axis: sorted(found.plan[axis], key=rank) for axis in ("sources", "targets", "pivots")}
    plan["pairs"] = sorted(found.plan["pairs"], key=lambda pair: (starts.index(pair[0]), rank(pair[1])))
    return replace(found, **frames, plan=plan, languages=list(languages), few_shot=replace(few, **ordered))


def part_of(
    found: StudyResults, starts: Sequence[str] = (), sources: Sequence[str] = (), targets: Sequence[str] = ()
) -> StudyResults:
    """The results of some starts, sources and targets alone, in every frame and in the plan; none named are all.

    `grid.OWN` is every start that is called like a source. Raises InputError on a name that the study has not.
    """
    wanted = {"starts": starts, "sources": sources, "targets": targets}
    if not any(wanted.values()):
        return found
    there = {axis: list(dict.fromkeys([*found.plan[axis], *found.frame[axis[:-1]]])) for axis in wanted}
    for axis, names in wanted.items():
        if unknown := [name for name in names if name not in (*there[axis], *([grid.OWN] if axis == "starts" else []))]:
            raise InputError(
                f"{axis}={unknown[0]} is not in study {found.study!r}; it has {', '.join(there[axis])}"
                f"{did_you_mean(unknown[0], there[axis])}", axis, unknown[0],
            )  # fmt: skip

    def kept(start: str, source: str) -> bool:
        own = grid.OWN in starts and start == source
        return (not starts or start in starts or own) and (not sources or source in sources)

    def rows(frame: pd.DataFrame) -> pd.DataFrame:
        fits = [kept(*place) for place in zip(frame["start"], frame["source"], strict=True)]
        if targets and "target" in frame:
            fits = [fit and target in targets for fit, target in zip(fits, frame["target"], strict=True)]
        return frame[pd.Series(fits, frame.index, dtype=bool)].reset_index(drop=True)

    pairs = [pair for pair in found.plan["pairs"] if kept(*pair)]
    plan = found.plan | {
        "pairs": pairs,
        "starts": [name for name in found.plan["starts"] if any(name == start for start, _ in pairs)],
        "sources": [name for name in found.plan["sources"] if any(name == source for _, source in pairs)],
        "targets": [name for name in found.plan["targets"] if not targets or name in targets],
    }
    plan["pivots"] = [name for name in found.plan["pivots"] if name in plan["sources"]]
    frames = {name: rows(getattr(found, name)) for name in (*FRAMES, *FURTHER) if name != "unions"}
    if not len(frames["frame"]):
        raise InputError(f"study {found.study!r} has no score of these starts, sources and targets", "starts")
    few = found.few_shot
    shown = {*plan["sources"], *plan["targets"], *frames["frame"]["source"], *frames["frame"]["target"]}
    told = "; ".join(f"{axis} {', '.join(names)}" for axis, names in wanted.items() if names)
    return replace(
        found,
        **frames,
        plan=plan,
        languages=[name for name in found.languages if name in shown],
        artifacts={place: address for place, address in found.artifacts.items() if kept(*place[:2])},
        imported="",  # what is odd in an import is odd in the whole of it
        unions=rows(found.unions) if not targets else found.unions.iloc[:0],
        few_shot=replace(
            few,
            **{name: rows(getattr(few, name)) for name in FRAMES},
            plan=[one for one in few.plan if kept(one[0], one[1])],
        ),
        warnings=[*found.warnings, f"a part of the study is analysed: {told}"],
    )


def language_order(found: StudyResults, order: str) -> list[str]:
    """The languages as ``given`` by the study, or by ``family`` or ``region``; unknown ones last.

    Within a group they keep the order of the study.
    """
    if order == "given":
        return found.languages
    regions = {code: language.region for code, language in LANGUAGES.items()}
    groups = {"family": found.families, "region": regions}[order]
    return sorted(found.languages, key=lambda name: (name not in groups, groups.get(name, "")))
