"""Category centres that are drawn together: of one model in many languages, of many models, of many seeds. Pure.

The three arrangements of the published study (Beukman and Fokam 2023), filled with whatever of them a study has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.embeddings.projections import Projection, project
from nertransfer.core.grid import BASE

LANGUAGES, MODELS, SEEDS = "languages", "models", "seeds"
POINT_COLUMNS = ["figure", "arrangement", "series", "language", "model", "category", "words", "pca_1", "pca_2", "mds_1",
                 "mds_2", "explained_1", "explained_2", "stress"]  # fmt: skip
MOST_STARTS, MOST_LANGUAGES, MOST_MODELS = 3, 3, 8
"""So many starts are drawn over all languages, so many languages over all models, and so many models in one figure."""

Place = tuple[str, str | None, int | None]
"""(start, source, seed) of a model; a start alone has no source and no seed."""
Centres = Mapping[tuple[str, str], tuple[int, np.ndarray]]
"""Number of words and mean vector by (language, category)."""


@dataclass(frozen=True)
class Arrangement:
    """One figure. ``points``: a row for each centre, of `POINT_COLUMNS`; ``series`` is what colours tell apart."""

    name: str
    kind: str
    title: str
    points: pd.DataFrame
    projection: Projection


def label(place: Place) -> str:
    """A model in a legend: ``base``, or ``base → swa`` for the start fine-tuned on a source."""
    start, source, _ = place
    return start if source is None else f"{start} → {source}"


def arrangements(
    models: Mapping[Place, tuple[str, Centres]], languages: Sequence[str], pivots: Sequence[str], reference: str
) -> list[Arrangement]:
    """All figures that the models allow; ``models`` has the name and the centres by place, in the study's order."""
    found = [
        *_many_languages(models, languages, reference),
        *_many_models(models, languages, pivots),
        *_many_seeds(models, languages, reference),
    ]
    return [one for one in found if one is not None]


def _many_languages(
    models: Mapping[Place, tuple[str, Centres]], languages: Sequence[str], reference: str
) -> list[Arrangement | None]:
    starts = [place for place in models if place[1] is None]
    starts.sort(key=lambda place: place[0] != reference)
    tuned = [place for place in models if place[0] == reference and place[1] is not None]
    made = []
    for place in [*starts[:MOST_STARTS], *tuned[:1]]:
        name, centres = models[place]
        rows = [(language, language, name, centres) for language in languages]
        what = f"start {place[0]}" if place[1] is None else f"{label(place)}, seed {place[2]}"
        made.append(_arrange(f"languages-{name}", LANGUAGES, f"One model, many languages: {what}", rows))
    return made


def _many_models(
    models: Mapping[Place, tuple[str, Centres]], languages: Sequence[str], pivots: Sequence[str]
) -> list[Arrangement | None]:
    by_language = {language: _roles(models, language, pivots) for language in languages}
    # a language with its own start shows most
    ranked = sorted(languages, key=lambda x: ((x, None, None) not in models, -len(by_language[x])))
    made = []
    for language in ranked[:MOST_LANGUAGES]:
        rows = [(label(place), language, *models[place]) for place in by_language[language]]
        if len(rows) > 1:
            made.append(_arrange(f"models-{language}", MODELS, f"One language, many models: {language}", rows))
    return made


def _roles(models: Mapping[Place, tuple[str, Centres]], language: str, pivots: Sequence[str]) -> list[Place]:
    """Base, the own start, and both and others fine-tuned on the language, and its own start on the pivots."""
    first: dict[tuple[str, str | None], Place] = {}
    for place in models:  # of several seeds the first
        first.setdefault(place[:2], place)
    wanted: list[tuple[str, str | None]] = [(BASE, None), (language, None), (BASE, language), (language, language)]
    wanted += [(pivot, language) for pivot in pivots] + [(language, pivot) for pivot in pivots]
    wanted += [key for key in first if key[1] == language]
    return [first[key] for key in dict.fromkeys(wanted) if key in first][:MOST_MODELS]


def _many_seeds(
    models: Mapping[Place, tuple[str, Centres]], languages: Sequence[str], reference: str
) -> list[Arrangement | None]:
    seeds: dict[tuple[str, str], list[Place]] = {}
    for place in models:
        if place[1] is not None:
            seeds.setdefault((place[0], place[1]), []).append(place)
    several = [key for key, places in seeds.items() if len(places) > 1]
    if not several:
        return []
    start, source = max(several, key=lambda key: (len(seeds[key]), key[0] == reference))
    other = next((language for language in languages if language != source), source)
    made = []
    for language in dict.fromkeys([source, other]):
        rows = [(f"seed {place[2]}", language, *models[place]) for place in seeds[start, source]]
        title = f"One model, many seeds: {start} → {source}, words of {language}"
        made.append(_arrange(f"seeds-{start}-{source}-{language}", SEEDS, title, rows))
    return made


def _arrange(name: str, kind: str, title: str, rows: Sequence[tuple[str, str, str, Centres]]) -> Arrangement | None:
    """The centres of (series, language, model, centres) projected together; None where there are too few."""
    points, vectors = [], []
    for series, language, model, centres in rows:
        for (where, category), (words, centre) in centres.items():
            if where == language:
                points.append((name, kind, series, language, model, category, words))
                vectors.append(centre)
    if len({len(v) for v in vectors}) != 1:  # models of different sizes have no space in common
        return None
    try:
        found = project(np.array(vectors))
    except ValueError:
        return None
    table = pd.DataFrame(points, columns=POINT_COLUMNS[:7])
    table[["pca_1", "pca_2"]], table[["mds_1", "mds_2"]] = found.pca, found.mds
    table["explained_1"], table["explained_2"] = found.explained
    table["stress"] = found.stress
    return Arrangement(name, kind, title, table[POINT_COLUMNS], found)
