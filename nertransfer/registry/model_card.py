"""The card of one registered version: plain data -> Markdown, for the registry and for a model hub. Pure.

Not to be mixed up with `analysis.transfer.chosen_models`, which is one table of all models of a study. What a card says
follows Mitchell et al. (2019, Model Cards for Model Reporting); the metadata are those of the Hugging Face hub. Scores
are fractions in the data and percent in the text.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from huggingface_hub import EvalResult, ModelCardData

from nertransfer.core.grid import FewShot, languages_of
from nertransfer.core.markdown import escape, plain, table
from nertransfer.core.schema import JOULES_PER_KILOWATT_HOUR, f1_per_kwh
from nertransfer.core.text import count, duration
from nertransfer.corpora.words import WELL_CUT
from nertransfer.registry import snippets
from nertransfer.scoring.subsets import LONG_WORDS, Subset

FORMAT = "3"
"""Raised whenever cards that exist should be written anew."""
DESCRIPTION_BYTES = 5000
"""MLflow keeps so many characters of a version's description (``String(5000)`` in its tables); bytes are safer."""
WEAK_SHOWN = 3
"""So many of the worst targets are named."""

_CUT = {
    "unicode": "at white space and around punctuation",
    "inside": "at white space and around punctuation, but not inside a word such as Al-Nazo or 3.5",
    "characters": "at white space and around punctuation, and between the characters of scripts without spaces",
    "whitespace": "at white space alone",
}
"""The rules of `nertransfer.corpora.words`."""

HOMEPAGE_CITATION = (
    "The models are made with nertransfer, which rebuilds: Beukman and Fokam (2023), Analysing Cross-Lingual Transfer "
    "in Low-Resourced African Named Entity Recognition, IJCNLP-AACL, <https://arxiv.org/abs/2309.05311>."
)


@dataclass(frozen=True)
class Score:
    """Scores of the version on the test split of ``name`` (a target or a category), and over its seeds.

    ``support``: gold entities. ``mean``, ``low`` and ``high``: over ``seeds`` seeds, with the 95 % interval by
    Student's t; the limits are NaN for one seed.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class SeedScore:
    """One seed of the version's start and source; ``zero_shot``: mean test F1 over the other languages, or NaN."""

    seed: int
    dev_f1: float
    test_f1: float
    zero_shot: float


@dataclass(frozen=True)
class Data:
    """Where the corpora come from; ``hub`` and ``licence_id`` are the hub's names for corpus and licence."""

    title: str
    licence: str
    licence_id: str
    citation: str = ""
    hub: str = ""
    page: str = ""


@dataclass(frozen=True)
class Resources:
    """Seconds, bytes and counts of the version's own fine-tuning; NaN where it was not tracked."""

    train_seconds: float
    score_seconds: float
    peak_memory_bytes: float
    processes: float
    threads: float
    device: str
    all_seeds_seconds: float
    energy_joules: float = math.nan


@dataclass(frozen=True)
class Card:
    """All that the card of one version says.

    ``base_model``: the start's id on the hub, or nothing. ``start_place``: what it was loaded from, without the folders
    above it. ``selection_split`` is empty where nobody chose the version by a rule. ``sizes``: (sentences, words,
    entities) by ``<language>.<split>``, of the splits that were scored; of a source of several as
    ``<language>+<language>.<split>``. ``digests``: SHA-256 by language, of the whole corpus; ``train_digest`` of the
    source's train file. ``unseen`` is None where the train split is not at hand, ``long`` where there are no
    predictions; ``words`` (`nertransfer.corpora.words.fitting_rule`) as ``unseen``. ``example``: words of one sentence.
    ``parts``: the languages of a source of several, and that of ``few_shot``, a few sentences of which were used, too.
    ``python_tokenizer``: the class of its tokenizer, where that is written in Python
    (`nertransfer.encoders.python_tokenizers`).
    """

    model: str
    name: str
    start: str
    start_place: str
    base_model: str
    start_fingerprint: str
    source: str
    source_name: str
    seed: int
    study: str
    cell_key: str
    recipe: Mapping[str, str]
    selection_split: str
    seeds: Sequence[SeedScore]
    own: Score
    targets: Sequence[Score]
    categories: Sequence[Score]
    invalid_tag_rate: float
    span_f1: float
    data: Data
    train_digest: str
    digests: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int, int]]
    resources: Resources
    long: Subset | None = None
    unseen: Subset | None = None
    words: tuple[str, float] | None = None
    example: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Score] = ()
    few_shot: FewShot | None = None
    python_tokenizer: str = ""


# --- parts ---------------------------------------------------------------------------------------------------------


def _percent(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{100 * value:.1f}"


def _interval(score: Score) -> str:
    if math.isnan(score.low):
        return "n/a"
    return f"{_percent(score.low)} to {_percent(score.high)}"


def _what(card: Card) -> str:
    named = f"**{escape(f'{card.source} ({card.source_name})' if card.source_name else card.source)}**"
    told = card.few_shot.after(named) if card.few_shot else named
    return (
        f"Named entity recognition: tags the words of a text with IOB2 tags of {_category_names(card)}. The start "
        f"**{card.start}**, fine-tuned on {told}, seed {card.seed}, in study {escape(card.study)}. On the "
        f"test split of {card.source}: F1 **{_percent(card.own.f1)}** %. {_choice(card)}"
    )


def _category_names(card: Card) -> str:
    return ", ".join(escape(score.name) for score in card.categories) or "no category"


def _choice(card: Card) -> str:
    """The rule by which this seed was chosen, in plain words."""
    if not card.selection_split:
        return "It was taken by name, not chosen by its scores."
    if len(card.seeds) < 2:
        return "It is the only seed, so no seed was chosen."
    seeds = (
        f"The best of {count(len(card.seeds), 'seed')} by F1 on the **{card.selection_split} split** of {card.source}"
    )
    if card.selection_split == "test":
        return f"{seeds}: its test F1 is the best of several, and too high an estimate for new text."
    return f"{seeds}; the test split was not looked at for the choice."


def _seed_table(card: Card) -> str:
    rows = [
        [f"**{s.seed}** (this one)" if s.seed == card.seed else str(s.seed), *map(_percent, (s.dev_f1, s.test_f1)),
         _percent(s.zero_shot)]
        for s in card.seeds
    ]  # fmt: skip
    mean = f"Mean test F1 over {count(card.own.seeds, 'seed')}: {_percent(card.own.mean)} %"
    spread = "" if math.isnan(card.own.low) else f", 95 % interval {_interval(card.own)}"
    header = ["seed", f"dev F1 {card.source}", f"test F1 {card.source}", "mean zero-shot test F1"]
    return f"{table(header, rows, 3)}\n\n{mean}{spread}."


def _score_table(scores: Sequence[Score], head: str) -> str:
    rows = [
        [escape(s.name), *map(_percent, (s.f1, s.precision, s.recall)), _percent(s.mean), _interval(s), str(s.support)]
        for s in scores
    ]
    seeds = sorted({s.seeds for s in scores})
    over = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    header = [head, "F1", "precision", "recall", f"mean F1, {over}", "95 % interval", "entities"]
    return table(header, rows, 6)


def _categories(card: Card) -> str:
    if not card.categories:
        return "It has no entity, and none was found."
    return _score_table(card.categories, "category")


def _parts(card: Card) -> str:
    return f"Test splits of the languages that it was fine-tuned on together.\n\n{_score_table(card.parts, 'language')}"


def _zero_shot(card: Card) -> str:
    if not card.targets:
        return "Scored on no other language."
    return (
        "Languages that it was not fine-tuned on, test splits. This version, then the mean over the seeds of its "
        f"configuration with the interval by Student's t.\n\n{_score_table(card.targets, 'target')}"
    )


def _weaknesses(card: Card) -> str:
    lines = []
    scored = [score for score in card.categories if score.support]
    if len(scored) > 1:
        worst = min(scored, key=lambda score: score.f1)
        lines.append(
            f"Weakest category: {escape(worst.name)}, F1 {_percent(worst.f1)} % on {worst.support} entities; "
            f"{_percent(card.own.f1)} % over all."
        )
    if card.targets:
        worst_targets = sorted(card.targets, key=lambda score: score.f1)[:WEAK_SHOWN]
        named = ", ".join(f"{escape(score.name)} {_percent(score.f1)} %" for score in worst_targets)
        lines.append(f"Other languages: the lowest F1 {'are' if len(worst_targets) > 1 else 'is'} {named}.")
    if card.long is None:
        lines.append("Long entities were not looked at: its predictions are not kept.")
    else:
        lines.append(f"Entities of more than {LONG_WORDS} words: {_subset(card.long)}.")
    if card.unseen is not None:
        lines.append(f"Entities whose words are no entity of the train split: {_subset(card.unseen)}.")
    elif card.long is not None:
        lines.append(
            "Entities that do not stand in the train split were not looked at: the corpus was not at hand, or not the "
            "one it was fine-tuned on, when the card was written."
        )
    if card.words is not None:
        rule, found = card.words
        lines.append(
            f"Raw text is cut into words {_CUT[rule]}: so {100 * found:.1f} % of the words of the train split "
            f"are found in running text{'' if found >= WELL_CUT else ', and F1 on raw text is lower'}."
        )
    lines.append(
        f"With the right words, whatever the category: F1 {_percent(card.span_f1)} %. Tags that IOB2 does not allow: "
        f"{100 * card.invalid_tag_rate:.2f} % of words."
    )
    return f"On the test split of {card.source}, where nothing else is said.\n\n" + "\n".join(f"- {x}" for x in lines)


def _subset(subset: Subset) -> str:
    if not subset.gold:
        return "none in the test split"
    return f"F1 {100 * subset.f1:.1f} % ({subset.gold} in the test split, {subset.correct} found)"


def _use(card: Card, snippet: str) -> str:
    text = (
        '`aggregation_strategy="first"` gives a word the tag of its first sub-token, which is what it was trained and '
        "scored on."
    )
    if card.python_tokenizer:
        text = (
            "A word has the tag of its first sub-token, which is what it was trained and scored on. Its tokenizer, "
            f"`{_code(card.python_tokenizer)}`, is written in Python: transformers' pipeline cannot join its "
            "sub-tokens to words, and gives a label to each, of which only those of first ones mean anything."
        )
    return f"```python\n{snippet}\n```\n\n{text}"


def hub_snippet(card: Card, model: str = ".") -> str:
    """Python that tags a sentence with transformers alone; ``model``: hub id, or the folder of the export."""
    if card.python_tokenizer:
        return snippets.word_by_word(model, _example(card))
    return snippets.by_pipeline(model, "this folder" if model == "." else "on the hub", _example(card))


def registry_snippet(card: Card, version: int | str) -> str:
    """Python that tags a sentence with the version in the registry."""
    return snippets.from_registry(f"models:/{card.model}/{version}", _example(card), not card.python_tokenizer)


def _example(card: Card) -> str:
    return " ".join(card.example) or "A sentence to tag."


def _limits(card: Card) -> str:
    commercial = " Its licence forbids commercial use." if "nc" in card.data.licence_id.split("-") else ""
    return (
        f"For research on named entities in {card.source}, and for marking them in text of the kind it was trained on. "
        "What it finds is a suggestion: names are missed and made up at the rates above. Not for decisions about "
        "people, and not for finding or tracking them. Other kinds of text, spelling and languages give other scores "
        f"than these.{commercial}"
    )


def _data(card: Card) -> str:
    rows = [[escape(name), *(f"{n:,}" for n in size)] for name, size in sorted(card.sizes.items())]
    own = [row for row in rows if row[0].startswith(f"{escape(card.source)}.")]
    page = f" (<{card.data.page}>)" if card.data.page else ""
    lines = [
        f"Corpora: {escape(card.data.title)}{page}. Licence: {escape(card.data.licence)}.",
        table(["split", "sentences", "words", "entities"], own, 3) if own else "",
        f"Train split of {card.source}, SHA-256: `{card.train_digest}`. Corpora (SHA-256 over the digests of train, "
        "dev and test, first 16 digits): "
        + ", ".join(f"{escape(name)} `{digest[:16]}`" for name, digest in sorted(card.digests.items()))
        + ".",
    ]
    return "\n\n".join(filter(None, lines))


def _training(card: Card) -> str:
    recipe = ", ".join(f"{escape(name)} {escape(value)}" for name, value in card.recipe.items())
    loaded = f"`{_code(card.start_place)}`" if card.start_place else "an unknown place"
    versions = ", ".join(f"{escape(name)} {escape(version)}" for name, version in card.versions.items())
    return (
        f"Start {card.start}, loaded from {loaded}; encoder weights, SHA-256: `{card.start_fingerprint}`. A new layer "
        f"over the labels, AdamW, learning rate linear to 0; a word is labelled at its first sub-token. {recipe}. Cell "
        f"`{card.cell_key}`." + (f" Versions: {versions}." if versions else "")
    )


def _code(text: str) -> str:
    return re.sub(r"[`\x00-\x1f]", "", text)


def _resources(card: Card) -> str:
    used = card.resources
    parts = []
    if not math.isnan(used.train_seconds):
        parts.append(f"{duration(used.train_seconds)} of fine-tuning")
    if not math.isnan(used.score_seconds):
        parts.append(f"{duration(used.score_seconds)} of scoring")
    if not math.isnan(used.peak_memory_bytes):
        parts.append(f"{used.peak_memory_bytes / 2**20:,.0f} MiB of memory at most")
    if not math.isnan(used.processes) and not math.isnan(used.threads):
        parts.append(f"{used.processes:.0f} process{'es' * (used.processes != 1)} x {used.threads:.0f} threads")
    parts.append(f"on {escape(used.device)}" if used.device else "the device was not tracked")
    total = "" if math.isnan(used.all_seeds_seconds) else f" All seeds together: {duration(used.all_seeds_seconds)}."
    if math.isnan(used.energy_joules):
        return f"{', '.join(parts)}.{total} Energy was not measured."
    hours = used.energy_joules / JOULES_PER_KILOWATT_HOUR
    gain = f1_per_kwh(card.own.f1, used.energy_joules)
    return f"{', '.join(parts)}.{total} Energy: {hours:.2g} kWh, {gain:,.0f} points of F1 per kWh."


def _citing(card: Card) -> str:
    corpora = f" The corpora: {escape(card.data.citation)}." if card.data.citation else ""
    return f"{HOMEPAGE_CITATION}{corpora}"


# --- the card ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Section:
    """``weight``: of the sections of a card that is too long, the one with the highest goes first."""

    title: str
    text: str
    weight: int

    @property
    def markdown(self) -> str:
        return f"## {self.title}\n\n{self.text}"


def _sections(card: Card, snippet: str) -> list[_Section]:
    return [
        _Section("All seeds", _seed_table(card), 1),
        *([_Section("By language", _parts(card), 2)] if card.parts else []),
        _Section("Zero-shot", _zero_shot(card), 2),
        _Section(f"Categories, test split of {card.source}", _categories(card), 3),
        _Section("Known weaknesses", _weaknesses(card), 0),
        _Section("Use", _use(card, snippet), 4),
        _Section("Intended use and limits", _limits(card), 5),
        _Section("Data", _data(card), 6),
        _Section("Training", _training(card), 7),
        _Section("Citing", _citing(card), 8),
        _Section("Resources", _resources(card), 9),
    ]


NOTE = "Entity-level micro scores in percent (seqeval, default mode): an entity counts when its words and its category "
NOTE += "are exactly right."


def _title(card: Card) -> str:
    return f"# {card.model}: {card.name}\n\n{_what(card)}\n\n{NOTE}"


def body(card: Card, snippet: str) -> str:
    """The whole card as Markdown, without metadata."""
    return "\n\n".join([_title(card), *(section.markdown for section in _sections(card, snippet))]) + "\n"


def description(card: Card, version: int | str, limit: int = DESCRIPTION_BYTES) -> str:
    """The card as the description of a version, at most ``limit`` bytes of UTF-8.

    Where it is longer, whole sections are left out, the least telling first, and it says which and where they are.
    """
    kept = _sections(card, registry_snippet(card, version))
    out: list[str] = []
    while True:
        rest = f"Left out here, in `model_card/README.md` of the run: {', '.join(out)}." if out else ""
        text = "\n\n".join(filter(None, [_title(card), *(section.markdown for section in kept), rest])) + "\n"
        if len(text.encode()) <= limit:
            return text
        if not kept:  # a name as long as a card
            return text.encode()[:limit].decode(errors="ignore")
        dropped = max(kept, key=lambda section: section.weight)
        kept = [section for section in kept if section is not dropped]
        out.append(dropped.title)


def metadata(card: Card) -> str:
    """The metadata of the hub as YAML, with every test score in its model index."""
    title = plain(card.data.title)  # a line break in it could end the metadata
    results = []
    for score in [card.own, *card.parts, *card.targets]:
        for name, value in (("f1", score.f1), ("precision", score.precision), ("recall", score.recall)):
            results.append(
                EvalResult(
                    task_type="token-classification", task_name="Named entity recognition",
                    # a hub takes the id of a data set here, and refuses a card with anything that has a space in it
                    dataset_type=card.data.hub or "unknown", dataset_name=f"{title} ({score.name})",
                    dataset_config=score.name, dataset_split="test", metric_type=name,
                    metric_name=f"{name} (seqeval, default mode)", metric_value=round(value, 6),
                )
            )  # fmt: skip
    codes = [name for name in languages_of(card.source) if re.fullmatch("[a-z]{2,3}", name)]
    return ModelCardData(
        language=codes if len(codes) > 1 else next(iter(codes), None),
        license=card.data.licence_id,
        library_name="transformers",
        pipeline_tag="token-classification",
        base_model=card.base_model or None,
        datasets=[card.data.hub] if card.data.hub else None,
        tags=["named-entity-recognition", "cross-lingual-transfer", "nertransfer"],
        metrics=["f1", "precision", "recall"],
        model_name=f"{card.model} {card.name}",
        eval_results=results,
    ).to_yaml()


def readme(card: Card, snippet: str, more: str = "") -> str:
    """The card as ``README.md`` of a model hub: metadata between two rules, then the card; ``more`` at its end."""
    return f"---\n{metadata(card)}\n---\n\n{body(card, snippet)}" + (f"\n{more}\n" if more else "")
