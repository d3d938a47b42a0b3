"""Representations of entity words: how categories, languages and seeds lie, and whether transfer goes with it. Pure."""

import itertools
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.embeddings import arrangements, geometry
from analysis.embeddings.arrangements import Arrangement, Place
from analysis.reading.vectors import Embedded, sentence_draws, some_rows
from analysis.statistics import comparison, permutation
from analysis.transfer import matrices
from analysis.transfer.matrices import Cube

RESAMPLES = 200
SILHOUETTE_WORDS = 1000
CKA_WORDS, CKA_MODELS, CKA_RESAMPLES = 500, 24, 100
"""So many words at most are compared with each other; and so many models with one another."""
BEFORE, AFTER = "start", "fine-tuned"
STAGES = {BEFORE: "before fine-tuning", AFTER: "fine-tuned on the source"}
"""Whose vectors: a start's, or those of its cells, each of them for the source that it is fine-tuned on."""
EVERY = "all"
"""Stands for all languages together."""
ALIGNMENT, DISTANCE = "nearest-centre accuracy", "distance of centres"

ALIGNMENT_COLUMNS = ["model", "start", "stage", "seed", "source", "target", "accuracy", "low", "high", "distance",
                     "distance_low", "distance_high", "words"]  # fmt: skip
MEAN_COLUMNS = ["start", "stage", "source", "target", "accuracy", "distance", "models"]
RELATION_COLUMNS = ["start", "stage", "relation", "accuracy", "low", "high", "distance", "distance_low",
                    "distance_high", "pairs"]  # fmt: skip
SILHOUETTE_COLUMNS = ["model", "language", "by", "silhouette", "low", "high", "words"]
SEED_COLUMNS = ["configuration", "language", "compared", "within", "distance", "low", "high", "pairs", "seeds"]
CKA_COLUMNS = ["model", "layers", "other_model", "other_layers", "cka", "low", "high", "words"]
ASSOCIATION_COLUMNS = [
    "start", "stage", "measure", "method", "r", "p", "p_error", "p_holm", "naive_p", "dyads", "languages",
]  # fmt: skip


@dataclass(frozen=True)
class Representations:
    """What the embeddings of a study say. ``models``: every embedding run and whether it is used, and why not.

    ``layers``: those that all but ``cka`` is of. Accuracies, silhouettes and CKA are fractions. ``alignment`` and
    ``relations``: how well centres of a source tell the categories of a target's words. ``seeds``: distances of
    category centres between seeds and between categories.
    """

    models: pd.DataFrame
    layers: str
    arrangements: list[Arrangement]
    alignment: pd.DataFrame
    relations: pd.DataFrame
    silhouettes: pd.DataFrame
    seeds: pd.DataFrame
    cka: pd.DataFrame
    associations: pd.DataFrame

    @property
    def split(self) -> str:
        """The split that the words of all used models are of."""
        return " and ".join(dict.fromkeys(self.models.loc[self.models["used"], "split"]))

    @property
    def points(self) -> pd.DataFrame:
        """Every point of every figure."""
        frames = [one.points for one in self.arrangements]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=arrangements.POINT_COLUMNS)


@dataclass
class _Pair:
    """Alignment of a source and a target under one model: estimates, and resampled ones [resamples]."""

    accuracy: float
    resampled: np.ndarray
    distance: float
    resampled_distance: np.ndarray
    words: int


def compute(
    models: pd.DataFrame,
    embedded: Iterable[Embedded],
    cubes: Mapping[str, Cube],
    families: Mapping[str, str],
    languages: Sequence[str],
    pivots: Sequence[str],
    reference: str,
) -> Representations | None:
    """Compare the embeddings. ``embedded``: those of ``models`` that are used, one at a time, all of the same words.

    The layers of the first are the ones that all is told of; others enter the comparison of models alone. Models of
    one configuration stand together. ``cubes``: F1 by start. None where there is no embedding.
    """
    pairs: dict[tuple[str, str, str, int | None], dict[tuple[str, str], _Pair]] = {}
    names: dict[tuple, str] = {}
    centres: dict[Place, tuple[str, dict]] = {}
    silhouettes, seeds, similar, layers = [], [], _Similar(compared(models)), ""
    for _, group in itertools.groupby(embedded, key=lambda one: (one.layers, one.configuration)):
        several = _Seeds(languages)
        for one in group:
            layers = layers or one.layers
            similar.add(one)
            if one.layers != layers:
                continue
            key = (one.start, BEFORE if one.source is None else AFTER, one.configuration, one.seed)
            names[key] = one.name
            pairs[key] = _pairs(one, languages)
            centres[one.start, one.source, one.seed] = (one.name, one.centres)
            silhouettes += _silhouettes(one, families)
            several.add(one)
        silhouettes += several.silhouettes()
        seeds += several.distances()
    if not layers:
        return None
    alignment = _alignment(pairs, names)
    return Representations(
        models=models,
        layers=layers,
        arrangements=arrangements.arrangements(centres, languages, pivots, reference),
        alignment=alignment,
        relations=_relations(pairs, families),
        silhouettes=pd.DataFrame(silhouettes, columns=SILHOUETTE_COLUMNS),
        seeds=pd.DataFrame(seeds, columns=SEED_COLUMNS),
        cka=similar.table(),
        associations=_associations(alignment, cubes),
    )


# --- from one language to another ---------------------------------------------------------------


@dataclass(frozen=True)
class _Words:
    """The words of a language: (words, size) ``vectors``, the category of each, all ``categories``, (resamples, words)
    ``draws``, and (1, categories, size) ``centres`` of the categories."""

    vectors: np.ndarray
    groups: np.ndarray
    categories: list[str]
    draws: np.ndarray
    centres: np.ndarray

    def resampled(self) -> np.ndarray:
        """(resamples, categories, size) centres of the categories."""
        return geometry.resampled_centres(self.vectors, self.groups, self.categories, self.draws)


def _pairs(one: Embedded, languages: Sequence[str]) -> dict[tuple[str, str], _Pair]:
    """Alignment by (source, target): a start's from every language, a cell's from the one it is fine-tuned on."""
    there = [language for language in languages if language in one.languages]
    parts: dict[str, _Words] = {}
    for language in there:
        groups = one.categories(language)
        names = sorted(set(groups))
        draws = sentence_draws(one.words, language, RESAMPLES)
        vectors = one.vectors[one.rows(language)]
        once = geometry.resampled_centres(vectors, groups, names, np.ones((1, len(vectors)), np.float32))
        parts[language] = _Words(vectors, groups, names, draws, once)
    found = {}
    for source in there if one.source is None else [x for x in there if x == one.source]:
        resampled = parts[source].resampled()
        for target in there:
            found[source, target] = _pair(parts[source], resampled, parts[target], own=source == target)
    return found


def _pair(source: _Words, source_resampled: np.ndarray, target: _Words, own: bool) -> _Pair:
    """Alignment over the categories that both languages have. Within one language, without intervals."""
    both = [name for name in source.categories if name in target.categories]
    nothing = np.full(RESAMPLES, np.nan)
    mine = np.isin(target.groups, both)
    vectors = target.vectors[mine]
    gold = np.array([both.index(name) for name in target.groups[mine]], dtype=np.int64)
    if len(both) < 2:
        return _Pair(np.nan, nothing, np.nan, nothing, len(vectors))
    if own:
        return _Pair(geometry.own_centre(vectors, gold, len(both)), nothing, np.nan, nothing, len(vectors))
    here, there = ([one.categories.index(name) for name in both] for one in (source, target))
    # a resample without a word of a category has no centre for it: far away, never the nearest
    from_centres = np.nan_to_num(source_resampled[:, here], nan=1e6)
    return _Pair(
        float(geometry.nearest_centre(vectors, gold, source.centres[:, here])[0]),
        geometry.nearest_centre(vectors, gold, from_centres, target.draws[:, mine]),
        float(geometry.mean_distance(source.centres[:, here], target.centres[:, there])[0]),
        geometry.mean_distance(source_resampled[:, here], target.resampled()[:, there]),
        len(vectors),
    )


def _alignment(pairs: Mapping, names: Mapping) -> pd.DataFrame:
    rows = []
    for key, by_pair in pairs.items():
        start, stage, _, seed = key
        for (source, target), pair in by_pair.items():
            bounds = geometry.interval(pair.accuracy, pair.resampled, 0, 1)
            reach = geometry.interval(pair.distance, pair.resampled_distance, 0)
            place = names[key], start, stage, seed, source, target
            rows.append((*place, pair.accuracy, *bounds, pair.distance, *reach, pair.words))
    table = pd.DataFrame(rows, columns=ALIGNMENT_COLUMNS)
    return table.astype({"seed": "Int64"})


def _relations(pairs: Mapping, families: Mapping[str, str]) -> pd.DataFrame:
    """Alignment between languages within and across families: the mean over pairs of their means over seeds."""
    rows = []
    for start, stage in dict.fromkeys((start, stage) for start, stage, _, _ in pairs):
        seeds: dict[tuple[str, str], list[_Pair]] = {}
        for key, by_pair in pairs.items():
            for pair, one in by_pair.items() if key[:2] == (start, stage) else ():
                if not np.isnan(one.accuracy):
                    seeds.setdefault(pair, []).append(one)
        for name in matrices.RELATIONS:
            chosen = [
                (
                    np.mean([(one.accuracy, one.distance) for one in several], axis=0),
                    np.mean([(one.resampled, one.resampled_distance) for one in several], axis=0),
                )
                for (source, target), several in seeds.items()
                if source != target and source in families and target in families
                and matrices.relation(source, target, families) == name
            ]  # fmt: skip
            if not chosen:
                continue
            accuracy, distance = np.mean([mean for mean, _ in chosen], axis=0).tolist()
            # sentences of a language are drawn alike in all pairs, so resamples are averaged one by one
            resampled, resampled_distance = np.mean([drawn for _, drawn in chosen], axis=0)
            bounds = geometry.interval(accuracy, resampled, 0, 1)
            reach = geometry.interval(distance, resampled_distance, 0)
            rows.append((start, stage, name, accuracy, *bounds, distance, *reach, len(chosen)))
    return pd.DataFrame(rows, columns=RELATION_COLUMNS)


def alignment_means(alignment: pd.DataFrame) -> pd.DataFrame:
    """`MEAN_COLUMNS`: accuracy and distance of every start, stage, source and target, mean over the seeds that are
    embedded, of which there are ``models``."""
    groups = alignment.groupby(["start", "stage", "source", "target"], sort=False)
    means = groups.agg(accuracy=("accuracy", "mean"), distance=("distance", "mean"), models=("model", "size"))
    return means.reset_index()[MEAN_COLUMNS]


def alignment_matrix(alignment: pd.DataFrame, start: str, stage: str, measure: str = "accuracy") -> pd.DataFrame:
    """`alignment_means` of a start and stage: rows source, columns target."""
    means = alignment_means(alignment[(alignment["start"] == start) & (alignment["stage"] == stage)])
    sources, targets = list(dict.fromkeys(means["source"])), list(dict.fromkeys(means["target"]))
    return means.pivot(index="source", columns="target", values=measure).reindex(index=sources, columns=targets)


def _associations(alignment: pd.DataFrame, cubes: Mapping[str, Cube]) -> pd.DataFrame:
    """Correlation of zero-shot F1 with alignment and with distance, p by permuting languages (QAP).

    ``p_holm`` is over all starts, stages and measures of a method.
    """
    rows = []
    for start, stage in dict.fromkeys(alignment[["start", "stage"]].itertuples(index=False, name=None)):
        if start not in cubes:
            continue
        mean = cubes[start].statistic("mean")
        for measure, column in ((ALIGNMENT, "accuracy"), (DISTANCE, "distance")):
            matrix = alignment_matrix(alignment, start, stage, column)
            common = [x for x in matrix.index if x in matrix.columns and x in mean.index and x in mean.columns]
            x, f1 = (m.loc[common, common].to_numpy(float) for m in (matrix, mean))
            for method, kind in (("Pearson", "pearson"), ("Spearman", "spearman")):
                rng = np.random.default_rng(0)
                tested = permutation.mantel(f1, x, permutation.ALL_OF_NINE, rng, kind) if common else None  # type: ignore[arg-type]
                if tested is None or np.isnan(tested.r):
                    continue
                naive = permutation.naive_association(x, f1, kind)  # type: ignore[arg-type]
                found = (tested.r, tested.p, tested.error, np.nan, naive.p, tested.n, len(common))
                rows.append((start, stage, measure, method, *found))
    table = pd.DataFrame(rows, columns=ASSOCIATION_COLUMNS)
    return table.assign(p_holm=comparison.holm_by(table, "method"))


# --- silhouettes and seeds ------------------------------------------------------------------------


def _all_draws(words: pd.DataFrame) -> np.ndarray:
    """`sentence_draws` of every language in the order of the words, [resamples, words]."""
    draws = np.zeros((RESAMPLES, len(words)), np.float32)
    for language in dict.fromkeys(words["language"]):
        draws[:, (words["language"] == language).to_numpy()] = sentence_draws(words, language, RESAMPLES)
    return draws


def _silhouettes(one: Embedded, families: Mapping[str, str]) -> list[tuple]:
    """Of all languages together by category, language and family; of every language by category."""
    rows = some_rows(one.words, SILHOUETTE_WORDS)
    vectors, draws = one.vectors[rows], _all_draws(one.words)[:, rows]
    labels = {name: one.words[name].to_numpy(str)[rows] for name in ("category", "language")}
    languages = labels["language"]
    if all(name in families for name in languages):
        # an isolate is a family of its own
        family = {x: x if families[x] == matrices.ISOLATE else families[x] for x in set(languages)}
        labels["family"] = np.array([f"family {family[name]}" for name in languages])
    found = _silhouette_rows(one.name, EVERY, vectors, labels, draws)
    for language in one.languages:
        mine = languages == language
        part = {"category": labels["category"][mine]}
        found += _silhouette_rows(one.name, language, vectors[mine], part, draws[:, mine])
    return found


def _silhouette_rows(
    name: str, language: str, vectors: np.ndarray, labels: Mapping[str, np.ndarray], draws: np.ndarray
) -> list[tuple]:
    """A mean silhouette for every labelling that has several labels; resampled as means of words' silhouettes."""
    found = []
    for by, values in zip(labels, geometry.silhouettes(vectors, list(labels.values())), strict=True):
        if not np.isnan(values).all():
            mean = float(values.mean())
            bounds = geometry.interval(mean, geometry.weighted_means(values, draws), -1, 1)
            found.append((name, language, by, mean, *bounds, len(values)))
    return found


class _Seeds:
    """The seeds of one configuration: distances of their category centres, and silhouettes of them together."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages, self._models = languages, []  # type: ignore[var-annotated]

    def add(self, one: Embedded) -> None:
        if one.seed is not None:
            self._models.append(one)

    @property
    def _name(self) -> str:
        return f"{self._models[0].configuration}, {len(self._models)} seeds"

    def silhouettes(self) -> list[tuple]:
        if len(self._models) < 2:
            return []
        words = self._models[0].words
        rows = some_rows(words, SILHOUETTE_WORDS // len(self._models))
        labels = {
            name: np.tile(words[name].to_numpy(str)[rows], len(self._models)) for name in ("category", "language")
        }
        labels["seed"] = np.repeat([str(one.seed) for one in self._models], len(rows))
        vectors = np.concatenate([one.vectors[rows] for one in self._models])
        return _silhouette_rows(
            self._name, EVERY, vectors, labels, np.tile(_all_draws(words)[:, rows], len(self._models))
        )

    def distances(self) -> list[tuple]:
        """Between seeds within every category, and between categories within every seed, by language."""
        if len(self._models) < 2:
            return []
        found = []
        first = self._models[0]
        for language in [x for x in self._languages if x in first.languages]:
            groups, rows = first.categories(language), first.rows(language)
            names = sorted(set(groups))
            draws = np.concatenate(
                [np.ones((1, len(rows)), np.float32), sentence_draws(first.words, language, RESAMPLES)]
            )
            # [seeds, 1 + resamples, categories, size]
            centres = np.stack(
                [geometry.resampled_centres(m.vectors[rows], groups, names, draws) for m in self._models]
            )
            between_seeds = list(itertools.combinations(range(len(self._models)), 2))
            between_categories = list(itertools.combinations(range(len(names)), 2))
            for i, name in enumerate(names):
                apart = [centres[a, :, i] - centres[b, :, i] for a, b in between_seeds]
                found.append(self._row(language, "seeds", name, apart))
            for i, model in enumerate(self._models):
                apart = [centres[i, :, a] - centres[i, :, b] for a, b in between_categories]
                if apart:
                    found.append(self._row(language, "categories", f"seed {model.seed}", apart))
        return found

    def _row(self, language: str, compared: str, within: str, apart: list[np.ndarray]) -> tuple:
        """Mean length of differences [1 + resamples, size], the first of each being the estimate."""
        lengths = np.mean([np.linalg.norm(one, axis=1) for one in apart], axis=0)
        bounds = geometry.interval(float(lengths[0]), lengths[1:], 0)
        name = self._models[0].configuration
        return (name, language, compared, within, float(lengths[0]), *bounds, len(apart), len(self._models))


def compared(models: pd.DataFrame, most: int = CKA_MODELS) -> set[tuple[str, str]]:
    """(model, layers) of at most ``most`` of the used ones, for CKA.

    As many of every layers as of others, as far as there are; of each the first seeds of all configurations before the
    second ones, and where not all of these fit, some that are evenly apart in the order of ``models``.
    """
    used = models[models["used"].astype(bool)]
    share = used.assign(place=used.groupby("layers").cumcount()).sort_values("place", kind="stable").head(most)
    found: set[tuple[str, str]] = set()
    for layers, number in share["layers"].value_counts().items():
        rows = used[used["layers"] == layers]
        seed = rows.groupby(["start", "source"]).cumcount()
        left = int(number)
        for _, part in rows.groupby(seed):
            chosen = part["model"].iloc[np.linspace(0, len(part) - 1, min(left, len(part))).round().astype(int)]
            found |= {(name, str(layers)) for name in chosen}
            left -= len(chosen)
    return found


class _Similar:
    """Collects some words of the models that are compared by CKA."""

    def __init__(self, chosen: Container[tuple[str, str]]) -> None:
        self._chosen = chosen
        self._models: dict[tuple[str, str], np.ndarray] = {}
        self._rows = self._draws = np.empty(0)

    def add(self, one: Embedded) -> None:
        if (one.name, one.layers) in self._chosen:
            if not self._models:
                self._rows = some_rows(one.words, CKA_WORDS)
                self._draws = _all_draws(one.words)[:CKA_RESAMPLES, self._rows]
            self._models[one.name, one.layers] = one.vectors[self._rows]

    def table(self) -> pd.DataFrame:
        if len(self._models) < 2:
            return pd.DataFrame(columns=CKA_COLUMNS)
        estimate, error = geometry.cka(list(self._models.values()), self._draws)
        rows = []
        for (i, a), (j, b) in itertools.combinations(enumerate(self._models), 2):
            reach = geometry.Z * error[i, j]
            bounds = max(0.0, estimate[i, j] - reach), min(1.0, estimate[i, j] + reach)
            rows.append((*a, *b, estimate[i, j], *bounds, len(self._rows)))
        return pd.DataFrame(rows, columns=CKA_COLUMNS)
