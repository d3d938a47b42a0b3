"""What a registered version was made from, and in what two of them differ. Pure, over tags and params."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from nertransfer import schema
from nertransfer.config import Recipe
from nertransfer.grid import SEPARATOR, languages_of
from nertransfer.store import Run

CORPUS, RECIPE, WEIGHTS, OTHER_STUDY, PIN = "corpus", "recipe", "start weights", "study", "pin"
REPLACE_ALL = frozenset({CORPUS, RECIPE, WEIGHTS, OTHER_STUDY, PIN})
"""Every reason for which registering leaves an alias where it is, unless it is told to replace."""
STUDY_REPLACES = frozenset({RECIPE})
"""What a study's own command says, and its rerun therefore replaces. Files may change without anybody noticing."""

DIGITS_SHOWN = 12


@dataclass(frozen=True)
class Lineage:
    """Digests of what a version was made from; an empty one is not known. ``corpus``: those of all languages of the
    source, joined. ``settings``: the recipe's parameters."""

    study: str
    start: str
    source: str
    corpus: str
    train: str
    weights: str
    recipe: str
    settings: Mapping[str, str]

    @property
    def made_from(self) -> tuple[str, ...]:
        """Equal for two seeds that can be compared by their scores alone."""
        return self.corpus, self.train, self.weights, self.recipe

    @property
    def _corpora(self) -> tuple[Sequence[str], Sequence[str]]:
        return languages_of(self.source), self.corpus.split(SEPARATOR)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a version that keep it, settings apart: those stand with its run."""
        return {
            schema.STUDY: self.study,
            schema.START: self.start,
            schema.SOURCE: self.source,
            **{schema.CORPUS_DIGEST + name: one for name, one in zip(*self._corpora, strict=True)},
            schema.TRAIN_DIGEST: self.train,
            schema.START_FINGERPRINT: self.weights,
            schema.RECIPE_DIGEST: self.recipe,
        }


def corpus_digest(digests: Mapping[str, str], source: str) -> str:
    """The digests of the corpora of all languages of a source, joined, as `Lineage` has them; given by language."""
    return SEPARATOR.join(digests[name] for name in languages_of(source))


def lineage(tags: Mapping[str, str], params: Mapping[str, str], study: str) -> Lineage:
    """The lineage that the tags of a version or of a cell's run tell; ``params`` are the run's."""
    source = tags.get(schema.SOURCE, "")
    names = [field.name for field in fields(Recipe)]
    settings = {name: params[schema.CONFIG + name] for name in names if schema.CONFIG + name in params}
    return Lineage(
        tags.get(schema.STUDY, study), tags.get(schema.START, ""), source,
        corpus_digest({name: tags.get(schema.CORPUS_DIGEST + name, "") for name in languages_of(source)}, source),
        tags.get(schema.TRAIN_DIGEST, ""),
        tags.get(schema.START_FINGERPRINT, ""), tags.get(schema.RECIPE_DIGEST, ""), settings,
    )  # fmt: skip


def lineage_of(run: Run, study: str = "") -> Lineage:
    """The lineage of what a cell's run made."""
    return lineage(run.data.tags, run.data.params, study)


def differences(old: Lineage, new: Lineage, weights: Mapping[str, str]) -> dict[str, str]:
    """Why versions of the two cannot be compared by their scores alone: reason -> words for people.

    ``weights``: fingerprints of the starts as they are now, by name. A start of another name is no difference; the
    same name with other weights is.
    """
    if not old.source:
        return {OTHER_STUDY: "it is not known to be made by a cell"}
    found = {}
    if old.study != new.study:
        found[OTHER_STUDY] = f"it belongs to study {old.study}, not to {new.study}"
    if old.corpus != new.corpus:
        what = "the train split" if old.train != new.train else "the dev or test split"
        found[CORPUS] = f"{what} of {new.source} has changed ({_moved(old.corpus, new.corpus)})"
    if old.recipe != new.recipe:
        found[RECIPE] = f"another recipe ({_changes(old, new)})"
    now = weights.get(old.start)
    if now is not None and now != old.weights:
        found[WEIGHTS] = f"the start {old.start} has other weights now ({_moved(old.weights, now)})"
    return found


def _moved(old: str, new: str) -> str:
    return f"SHA-256 {old[:DIGITS_SHOWN] or 'not known'} -> {new[:DIGITS_SHOWN] or 'not known'}"


def _changes(old: Lineage, new: Lineage) -> str:
    names = dict.fromkeys([*old.settings, *new.settings])
    pairs = {name: (old.settings.get(name, "?"), new.settings.get(name, "?")) for name in names}
    changed = [f"{name} {before} -> {after}" for name, (before, after) in pairs.items() if before != after]
    return ", ".join(changed) or f"{old.recipe or 'not known'} -> {new.recipe or 'not known'}"
