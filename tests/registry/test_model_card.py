"""Model cards: what they say, that hostile names say nothing else, and that they fit where they are kept."""

import ast
import dataclasses
import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nertransfer.core import markdown
from nertransfer.corpora.words import RULES
from nertransfer.registry import model_card
from nertransfer.registry.card_facts import PLANTED_DATA
from nertransfer.registry.model_card import Card, Data, Resources, Score, SeedScore
from nertransfer.scoring import measurements, subsets
from nertransfer.scoring.subsets import Subset

MASAKHANER = Data("MasakhaNER 1.0", "CC BY-NC 4.0", "cc-by-nc-4.0", "Adelani et al. (2021)", "masakhaner")


def score(name: str, f1: float, support: int = 50) -> Score:
    return Score(name, f1 - 0.05, f1 + 0.05, f1, support, f1 - 0.01, f1 - 0.03, f1 + 0.01, 3)


CARD = Card(
    model="ner-hau", name="base-hau-s2", start="base", start_place="xlm-roberta-base", base_model="xlm-roberta-base",
    start_fingerprint="f" * 64, source="hau", source_name="Hausa", seed=2, study="masakhaner", cell_key="k" * 32,
    recipe={"epochs": "50", "learning_rate": "5e-05"}, selection_split="dev",
    seeds=[SeedScore(1, 0.9, 0.88, 0.4), SeedScore(2, 0.91, 0.87, 0.41), SeedScore(3, 0.89, 0.9, math.nan)],
    own=score("hau", 0.87), targets=[score("swa", 0.61), score("wol", 0.3), score("yor", 0.4), score("ibo", 0.5)],
    categories=[score("DATE", 0.7, 20), score("LOC", 0.9), score("MISC", 0.0, 0)], invalid_tag_rate=0.0012,
    span_f1=0.89, data=MASAKHANER, train_digest="t" * 64, digests={"hau": "d" * 64, "swa": "e" * 64},
    sizes={"hau.test": (570, 13000, 980), "swa.test": (604, 16000, 1244)},
    resources=Resources(600.0, 30.0, 3 * 2**30, 1, 2, "NVIDIA L4", 1900.0), long=Subset(10, 8, 6), unseen=None,
    example=("Sunan", "ta", "`Aisha`", '"ce"', "."), versions={"torch": "2.13.0"},
)  # fmt: skip
BODY = model_card.body(CARD, model_card.hub_snippet(CARD))


def test_the_card_says_what_energy_it_took_where_that_is_known() -> None:
    assert "Energy was not measured." in BODY
    measured = dataclasses.replace(CARD, resources=dataclasses.replace(CARD.resources, energy_joules=7.2e5))
    told = model_card.body(measured, model_card.hub_snippet(measured))
    gain = 100 * CARD.own.f1 / 0.2
    assert f"Energy: 0.2 kWh, {gain:,.0f} points of F1 per kWh." in told


def test_the_card_names_the_rule_and_shows_all_seeds_and_intervals() -> None:
    assert "The best of 3 seeds by F1 on the **dev split** of hau; the test split was not looked at" in BODY
    assert "| **2** (this one) | 91.0 | 87.0 | 41.0 |" in BODY and "| 3 | 89.0 | 90.0 | n/a |" in BODY
    assert "| wol | 30.0 | 25.0 | 35.0 | 29.0 | 27.0 to 31.0 | 50 |" in BODY
    assert "Mean test F1 over 3 seeds: 86.0 %, 95 % interval 84.0 to 88.0." in BODY


def test_the_card_begins_with_what_the_model_tags() -> None:
    assert "tags the words of a text with IOB2 tags of DATE, LOC, MISC. The start **base**, fine-tuned on" in BODY


def test_the_rule_is_said_plainly_where_it_was_another() -> None:
    on_test = dataclasses.replace(CARD, selection_split="test")
    assert "too high an estimate for new text" in model_card.body(on_test, "")
    assert "taken by name, not chosen by its scores" in model_card.body(
        dataclasses.replace(CARD, selection_split=""), ""
    )
    alone = dataclasses.replace(CARD, seeds=CARD.seeds[:1])
    assert "the only seed, so no seed was chosen" in model_card.body(alone, "")


def test_weaknesses_are_computed_and_what_is_not_known_is_said() -> None:
    assert "Weakest category: DATE, F1 70.0 % on 20 entities" in BODY  # not MISC, which test does not have
    assert "the lowest F1 are wol 30.0 %, yor 40.0 %, ibo 50.0 %." in BODY
    assert "Entities of more than 3 words: F1 66.7 % (10 in the test split, 6 found)." in BODY
    assert "do not stand in the train split were not looked at: the corpus was not at hand" in BODY
    seen = model_card.body(dataclasses.replace(CARD, unseen=Subset(4, 4, 0)), "")
    assert "no entity of the train split: F1 0.0 % (4 in the test split, 0 found)" in seen
    assert "its predictions are not kept" in model_card.body(dataclasses.replace(CARD, long=None), "")


def test_the_card_says_how_raw_text_is_cut() -> None:
    well, badly = (model_card.body(dataclasses.replace(CARD, words=("inside", share)), "") for share in (0.984, 0.4))
    assert (
        "not inside a word such as Al-Nazo or 3.5: so 98.4 % of the words of the train split are found in running "
        in well
    )
    assert "F1 on raw text is lower" in badly and "F1 on raw text is lower" not in well + BODY
    assert set(model_card._CUT) == set(RULES)


def test_a_test_split_without_entities_says_so() -> None:
    bare = model_card.body(dataclasses.replace(CARD, categories=[]), "")
    assert "## Categories, test split of hau\n\nIt has no entity, and none was found.\n" in bare


def test_licence_and_resources_are_those_of_the_data_and_the_run() -> None:
    assert "Its licence forbids commercial use." in BODY and "Licence: CC BY-NC 4.0." in BODY
    assert "forbids" not in model_card.body(dataclasses.replace(CARD, data=PLANTED_DATA), "")
    assert "10 min 0 s of fine-tuning, 30 s of scoring, 3,072 MiB of memory at most" in BODY
    assert "on NVIDIA L4. All seeds together: 31 min 40 s." in BODY


def test_a_source_of_several_languages_has_each_of_them() -> None:
    card = dataclasses.replace(
        CARD, source="hau+swa", parts=[score("hau", 0.9), score("swa", 0.8)], targets=[score("wol", 0.3)]
    )
    assert yaml.safe_load(model_card.metadata(card))["language"] == ["hau", "swa"]
    text = model_card.body(card, "code")
    assert "## By language" in text and "## By language" not in model_card.body(CARD, "code")
    zero_shot = text.split("## Zero-shot")[1].split("##")[0]
    assert "| wol |" in zero_shot and "| swa |" not in zero_shot


def test_the_metadata_are_what_a_hub_reads() -> None:
    text = model_card.readme(CARD, "pass")
    _, front, _ = text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert (found["language"], found["license"], found["base_model"]) == ("hau", "cc-by-nc-4.0", "xlm-roberta-base")
    assert (found["pipeline_tag"], found["datasets"]) == ("token-classification", ["masakhaner"])
    (index,) = found["model-index"]
    by_target = {one["dataset"]["config"]: one for one in index["results"]}
    assert set(by_target) == {"hau", "swa", "wol", "yor", "ibo"} and by_target["hau"]["dataset"]["split"] == "test"
    assert {m["type"]: m["value"] for m in by_target["wol"]["metrics"]} == {
        "f1": 0.3,
        "precision": 0.25,
        "recall": 0.35,
    }


@pytest.mark.parametrize("data", [PLANTED_DATA, Data("a folder called my data", "not known", "unknown"), CARD.data])
def test_a_hub_takes_the_name_of_the_data(data: Data) -> None:
    (index,) = yaml.safe_load(model_card.metadata(dataclasses.replace(CARD, data=data)))["model-index"]
    for one in index["results"]:
        assert re.fullmatch(r"([\w-]+/)?[\w.-]+", one["dataset"]["type"]) and data.title in one["dataset"]["name"]


def test_the_snippet_is_python_whatever_the_sentence_is() -> None:
    for snippet in (model_card.hub_snippet(CARD), model_card.registry_snippet(CARD, 3)):
        calls = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Call)]
        (call,) = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "tagger"]
        assert ast.literal_eval(call.args[0]) == " ".join(CARD.example) and "`" not in snippet
    assert 'model="owner/name"' in model_card.hub_snippet(CARD, "owner/name")


# --- length ----------------------------------------------------------------------------------------------------------


def test_a_description_says_what_it_leaves_out_and_keeps_the_most_telling() -> None:
    whole = model_card.description(CARD, 1)
    assert "Left out" not in whole and "## Resources" in whole
    many = [score(f"la{i}", 0.5) for i in range(60)]
    short = model_card.description(dataclasses.replace(CARD, targets=many), 1)
    assert len(short.encode()) <= model_card.DESCRIPTION_BYTES
    assert "Left out here, in `model_card/README.md` of the run: Resources, Citing, Training" in short
    assert "## Known weaknesses" in short and "## All seeds" in short


@given(st.integers(100, 6000), st.text(max_size=300))
def test_a_description_is_never_longer_than_it_may_be(limit: int, study: str) -> None:
    assert len(model_card.description(dataclasses.replace(CARD, study=study), 1, limit).encode()) <= limit


# --- hostile names ---------------------------------------------------------------------------------------------------

HOSTILE = [  # names of studies, folders, categories, devices
    "<script>alert(1)</script>", "a|b|c", "x](javascript:alert(1))", "# head\n\n---\nlicense: mit",
    "`code` **bold** _it_",
    "\u202eright to left", "--- {{ jinja }} %d $x$", "<img src=x onerror=alert(1)>", "```\nend of code",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_and_does_nothing(name: str) -> None:
    hostile = dataclasses.replace(
        CARD, study=name, start_place=name, source_name=name, recipe={"epochs": name}, versions={"torch": name},
        categories=[score(name, 0.5), *CARD.categories[1:]],
        data=dataclasses.replace(MASAKHANER, title=name, licence=name),
        resources=dataclasses.replace(CARD.resources, device=name), example=(name,),
    )  # fmt: skip
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(model_card.body(hostile, "pass"))
    plain = MarkdownIt("commonmark", {"html": True}).enable("table").parse(model_card.body(CARD, "pass"))

    def structure(found: list) -> list[str]:  # everything but text; code keeps what it holds
        kept = [t.type for one in found for t in (one, *(one.children or ())) if t.type not in ("text", "text_special")]
        return [kind for kind in kept if kind not in ("inline", "softbreak")]

    assert structure(tokens) == structure(plain)
    (front, _) = model_card.readme(hostile, "pass").removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["license"] == "cc-by-nc-4.0"


@given(st.text(max_size=60))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    rendered = MarkdownIt("commonmark").renderInline(markdown.escape(text) + "|")
    expected = re.sub(
        r"[&<>\"]", lambda m: {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}[m[0]], markdown.plain(text)
    )
    assert rendered == expected + "|"


# --- subsets of entities ---------------------------------------------------------------------------------------------

WORDS = ("The", "United", "States", "of", "America", "and", "Lagos")
GOLD = ("O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", "O", "B-LOC")
PREDICTED = ("O", "B-LOC", "I-LOC", "O", "O", "O", "B-LOC")


def test_long_and_unseen_entities_are_counted_on_both_sides() -> None:
    assert subsets.of_long([(WORDS, GOLD, PREDICTED)]) == Subset(1, 0, 0)
    seen = subsets.surface_forms([(("Lagos", "is"), ("B-LOC", "O"))])
    assert subsets.of_unseen([(WORDS, GOLD, PREDICTED)], seen) == Subset(1, 1, 0)
    assert subsets.of_unseen([(WORDS, GOLD, GOLD)], frozenset()).f1 == 1.0
    assert Subset(3, 1, 1).f1 == 0.5 and Subset(0, 0, 0).f1 == 0.0


def test_predictions_are_read_back_as_they_were_written() -> None:
    text = "Mun\u200b B-PER O\n\u2028x O O\n\n O I-LOC\n\n"
    assert measurements.read_predictions(text) == [
        (("Mun\u200b", "\u2028x"), ("B-PER", "O"), ("O", "O")), (("",), ("O",), ("I-LOC",))
    ]  # fmt: skip
    assert measurements.read_predictions("") == []
