"""Error analysis: the same counts as nervaluate, buckets that sum to the totals, and what a page shows of it."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import analysis_store as made
import numpy as np
import pandas as pd
import pytest
from browser import looked_at
from folder_store import make_store
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator
from report_page import Page
from tagged_sentences import published_results, read_columns

from analysis.errors import buckets as error_buckets
from analysis.errors import kinds as error_kinds
from analysis.errors.entities import Tagged, paired, tagged
from analysis.report import plots, report
from analysis.report.html import error_pages
from analysis.report.sections import reasons
from analysis.statistics import comparison, means
from analysis.transfer import inference
from nertransfer.core import schema
from nertransfer.core.config import AnalyseConfig
from nertransfer.core.grid import Place
from nertransfer.core.options import DataOptions, TrackingOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Corpus, Split
from nertransfer.corpora.words import spans
from nertransfer.scoring import predicted_entities, scores
from nertransfer.tracking.store import client

Tags = list[list[str]]
HOSTILE = "<script>hacked=1</script>"
NERVALUATE = {"strict": "strict", "exact": "exact", "partial": "partial", "ent_type": "type"}
CATEGORIES = ["DATE", "LOC", "ORG", "PER"]


def split_of(words: Tags, tags: Tags, name: str = "test") -> Split:
    return Split("hau", name, tuple(Sentence(tuple(w), tuple(t)) for w, t in zip(words, tags, strict=True)), "digest")


def corpus_of(words: Tags, tags: Tags, train: tuple[Tags, Tags] = ([["x"]], [["O"]])) -> Corpus:
    return Corpus("hau", {"train": split_of(*train), "dev": split_of(words, tags), "test": split_of(words, tags)})


def file_of(predicted: Tags, target: str = "hau") -> bytes:
    return predicted_entities.to_bytes({(target, "test"): scores.entities(predicted)})


def words_for(tags: Tags) -> Tags:
    return [[f"w{i}" for i, _ in enumerate(one)] for one in tags]


def one_target(gold: Tags, *predicted: Tags, words: Tags | None = None) -> Tagged:
    files = {("base", "hau", seed): file_of(tags) for seed, tags in enumerate(predicted)}
    return tagged(files, {"hau": corpus_of(words or words_for(gold), gold)})["hau"]


def nervaluate_counts(gold: Tags, predicted: Tags) -> dict[str, int]:
    found = Evaluator(gold, predicted, tags=CATEGORIES, loader="list").evaluate()["overall"]
    return {
        f"{ours} {kind}": getattr(found[theirs], kind)
        for theirs, ours in NERVALUATE.items()
        for kind in error_kinds.SCHEMES[ours]
    }


def our_counts(found: Tagged) -> list[dict[str, int]]:
    table = error_kinds.kinds(found, paired(found))
    return [{name: int(row[name]) for name in row if " " in name} for row in table.to_dict("records")]


# --- kinds of errors ---------------------------------------------------------------------------------------


def tags_of(length: int) -> st.SearchStrategy[list[str]]:
    every = ["O", *(f"{prefix}-{name}" for prefix in "BI" for name in CATEGORIES[:3]), "I-LOC", "I-LOC"]
    return st.lists(st.sampled_from(every), min_size=length, max_size=length)


STUDIES = st.lists(st.integers(1, 14), min_size=1, max_size=4).flatmap(
    lambda lengths: st.lists(st.tuples(*map(tags_of, lengths)).map(list), min_size=2, max_size=4)
)
"""Gold tags and those of one to three cells."""


@settings(max_examples=150, deadline=None)
@given(STUDIES)
def test_every_count_is_that_of_nervaluate(taggings: list[Tags]) -> None:
    gold, *predicted = taggings
    for tags, ours in zip(predicted, our_counts(one_target(gold, *predicted)), strict=True):
        wanted = nervaluate_counts(gold, tags)
        assert {name: ours[name] for name in wanted} == wanted


def test_a_hundredth_of_a_gold_entity_is_enough_to_overlap() -> None:
    for length in (100, 101):
        gold = [["B-LOC", *["I-LOC"] * (length - 1)]]
        predicted = [["B-LOC", *["O"] * (length - 1)]]
        wanted = nervaluate_counts(gold, predicted)
        (ours,) = our_counts(one_target(gold, predicted))
        assert {name: ours[name] for name in wanted} == wanted and wanted["strict missed"] == (length > 100)


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> dict[str, Tags]:
    names = ("hau", "swa", "wol")
    return {
        name: [[row[-1] for row in s] for s in read_columns(shared_data / f"masakhaner/{name}/test.txt")]
        for name in names
    }


def test_the_counts_of_the_published_sample_are_those_of_nervaluate(shared_data: Path, gold: dict[str, Tags]) -> None:
    chosen = published_results(shared_data)[::9]
    assert {target for _, target in chosen} == set(gold) and len(chosen) > 20
    for folder, target in chosen:
        predicted = [[row[-1] for row in s] for s in read_columns(folder / "test_predictions.txt")]
        (ours,) = our_counts(one_target(gold[target], predicted))
        wanted = nervaluate_counts(gold[target], predicted)
        assert {name: ours[name] for name in wanted} == wanted, folder.name


def test_kinds_in_plain_words() -> None:
    #        correct  type     boundary          both              missing  spurious
    gold = [["B-PER", "B-PER", "B-LOC", "I-LOC", "B-LOC", "I-LOC", "B-ORG", "O"]]
    said = [["B-PER", "B-ORG", "B-LOC", "O", "O", "B-PER", "O", "B-DATE"]]
    found = one_target(gold, said)
    (ours,) = our_counts(found)
    assert [ours[f"error {kind}"] for kind in error_kinds.KINDS] == [1, 1, 1, 1, 1, 1]
    rows = error_kinds.confusion(found, paired(found))
    assert sorted(rows[["gold", "predicted", "count"]].itertuples(index=False, name=None)) == [
        ("LOC", "O", 2), ("O", "DATE", 1), ("O", "LOC", 1), ("O", "PER", 1), ("ORG", "O", 1), ("PER", "ORG", 1),
        ("PER", "PER", 1),
    ]  # fmt: skip
    assert list(rows.columns[:3]) == ["start", "source", "seed"]


@settings(max_examples=60, deadline=None)
@given(STUDIES)
def test_confusions_and_kinds_sum_to_the_entities(taggings: list[Tags]) -> None:
    gold, *predicted = taggings
    found = one_target(gold, *predicted)
    pairs = paired(found)
    confused = error_kinds.confusion(found, pairs)
    there = Counter(c for tags in gold for *_, c in spans(tags))
    for seed, (tags, ours) in enumerate(zip(predicted, our_counts(found), strict=True)):
        part = confused[confused["seed"] == seed]
        guessed = Counter(c for one in tags for *_, c in spans(one))
        for side, wanted in (("gold", there), ("predicted", guessed)):
            sums = part[part[side] != "O"].groupby(side)["count"].sum()
            assert dict(sums) == dict(wanted)
        assert sum(ours[f"error {kind}"] for kind in error_kinds.KINDS if kind != "spurious") == there.total()
        assert sum(ours[f"error {kind}"] for kind in error_kinds.KINDS if kind != "missing") == guessed.total()


# --- examples ------------------------------------------------------------------------------------------------


def test_the_most_frequent_wrong_entities_stand_in_their_context() -> None:
    words = [[*"abcdefghijklm", "Musa", "Bello", "said", "Kano"], ["Musa", "Bello"]]
    gold = [[*["O"] * 13, "B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "I-PER"]]
    cut = [[*["O"] * 13, "B-PER", "O", "O", "B-ORG"], ["B-PER", "O"]]
    none = [["O"] * 17, ["B-PER", "I-PER"]]
    found = one_target(gold, cut, none, words=words)
    rows = error_kinds.examples(found, error_kinds.wrong(found, paired(found)))
    assert rows.drop(columns=["cells", "example"]).to_numpy().tolist() == [
        ["boundary", "Musa Bello", "PER", "Musa", "PER", 2],
        ["missing", "Musa Bello", "PER", "", "", 1],
        ["missing", "Kano", "LOC", "", "", 1],
        ["type", "Kano", "LOC", "Kano", "ORG", 1],
    ]
    first = rows.iloc[0]
    assert first["example"] == "… d e f g h i j k l m [{Musa} Bello] said Kano" and set(rows["cells"]) == {2}


@settings(max_examples=60, deadline=None)
@given(STUDIES)
def test_distinct_errors_are_those_that_are_counted(taggings: list[Tags]) -> None:
    gold, *predicted = taggings
    found = one_target(gold, *predicted)
    one = error_kinds.wrong(found, paired(found))
    kinds = error_kinds.kinds_of_wrong(found, one)
    for cell, ours in enumerate(our_counts(found)):
        here = [kind for i, kind in enumerate(kinds) if cell in one.cells[one.begin[i] : one.begin[i + 1]]]
        counted = Counter(error_kinds.KINDS[kind] for kind in here)
        assert {kind: counted[kind] for kind in error_kinds.KINDS[1:]} == {
            kind: ours[f"error {kind}"] for kind in error_kinds.KINDS[1:]
        }


def test_the_page_of_a_target_filters_its_errors(tmp_path: Path) -> None:
    words = [["Musa", "Bello", "left", "Kano", HOSTILE], ["Ada", "came"]]
    gold = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER", "O"]]
    cut = [["B-PER", "O", "O", "B-ORG", "B-ORG"], ["B-PER", "O"]]
    none = [["O"] * 5, ["B-PER", "O"]]
    files = {("base", "hau", 0): file_of(cut), ("base", "hau", 1): file_of(none), ("swa", "hau", 0): file_of(gold)}
    data = {"hau": corpus_of(words, gold)}
    made_of = error_pages.analyse("s", "../index.html", files, data, ["hau"], {"base": [("base", "hau")]}, "base")
    assert made_of is not None and list(made_of.pages) == ["hau.html"]
    for key in ("kinds", "confusion"):  # their CSV files have no means
        part = made_of.pages["hau.html"].partition(f'id="listing-{key}"')[2].partition("<table")[0]
        assert f'href="{key}.csv"' in part and "the CSV has the numbers of each model" in part
    script = """
      const list = () => [...document.querySelectorAll("#wrong li")].map((li) => li.querySelector(".what").textContent
        + "|" + [...li.querySelectorAll("mark")].map((m) => m.className + "=" + m.textContent).join(";")
        + "|" + li.querySelector("summary").textContent);
      const choose = (name, text) => {
        const control = document.querySelector(`[data-filter=${name}]`);
        control.value = [...control.options].find((option) => option.textContent === text).value;
        control.dispatchEvent(new Event("change"));
      };
      const told = () => document.getElementById("told").textContent;
      const all = [list(), told()];
      choose("seed", "1"); const one = [list(), told()];
      choose("seed", "all"); choose("kind", "spurious"); const kind = list();
      choose("kind", "all"); choose("start", "swa"); const good = told();
      return { all, one, kind, good, hacked: typeof hacked };"""
    _, told = looked_at(made_of.pages["hau.html"], tmp_path, tmp_path / "profile", script)
    boundary = "boundarygold: Musa Bello PERpredicted: Musa PER|gold predicted=Musa;gold=Bello|1 of 3 models"
    assert boundary in told["all"][0] and told["all"][1] == "5 errors in 3 models, 1.7 a model, 5 distinct; 5 shown"
    assert told["one"][0] == [
        "missinggold: Musa Bello PERpredicted: none|gold=Musa Bello|1 of 1 models",
        "missinggold: Kano LOCpredicted: none|gold=Kano|1 of 1 models",
    ]
    assert [entry.split("|")[1] for entry in told["kind"]] == [f"predicted={HOSTILE}"]
    assert told["good"].startswith("0 errors in 1 model,") and told["hacked"] == "undefined"


# --- buckets -------------------------------------------------------------------------------------------------


def labels_of(found: Mapping[str, np.ndarray], attribute: str) -> list[str]:
    return [error_buckets.ATTRIBUTES[attribute][i] for i in np.ravel(found[attribute])]


def test_what_an_entity_is_like() -> None:
    words = [["Abuja", "is", "Big", "city", "of", "Musa"], ["and"] * 11]
    gold = [["B-LOC", "O", "B-LOC", "I-LOC", "O", "B-PER"], [*["O"] * 6, "B-ORG", "I-ORG", "I-ORG", "I-ORG", "O"]]
    train = (
        [["Abuja", "Abuja", "Abuja"], ["Big", "city"], ["Musa", "met", "Musa"]],
        [["B-LOC", "B-LOC", "O"], ["B-ORG", "I-ORG"], ["B-PER", "O", "B-PER"]],
    )
    data = {"hau": corpus_of(words, gold, train)}
    found = tagged({("base", "hau", 0): file_of(gold)}, data)
    of_place = error_buckets.attributes(found["hau"])
    assert labels_of(of_place, "length") == ["1", "2", "1", "more than 3"]
    assert labels_of(of_place, "position") == ["first", "middle", "last", "middle"]
    assert labels_of(of_place, "capitalised") == ["all words", "some", "all words", "none"]
    assert labels_of(of_place, "sentence length") == ["1-10", "1-10", "1-10", "11-20"]
    of_train = error_buckets._Known(data, found).attributes("hau", found["hau"])
    assert labels_of(of_train, "in train") == ["seen", "other category", "seen", "unseen"]
    assert labels_of(of_train, "frequency") == ["2-4", "0", "2-4", "0"]
    assert labels_of(of_train, "consistency") == ["below 100 %", "0 %", "100 %", "not in train"]


@pytest.fixture(scope="module")
def sample(shared_data: Path) -> tuple[dict[str, Tagged], dict[str, Corpus]]:
    """All published results of the sample."""
    corpora = corpus.load(DataOptions(str(shared_data / "masakhaner"), ("hau", "swa", "wol")))
    parts: dict[Place, dict[tuple[str, str], scores.Entities]] = {}
    for folder, target in published_results(shared_data):
        if folder.parent.name == "v20":
            name = folder.name.split("_zero_shot_")[1].split("_")
            place = (name[3], name[0], int(name[7]))
            predicted = [[row[-1] for row in s] for s in read_columns(folder / "test_predictions.txt")]
            parts.setdefault(place, {})[target, "test"] = scores.entities(predicted)
    files = {place: predicted_entities.to_bytes(parts[place]) for place in sorted(parts)}
    return tagged(files, corpora), corpora


@pytest.fixture(scope="module")
def found(sample: tuple[dict[str, Tagged], dict[str, Corpus]]) -> error_buckets.Buckets:
    groups = {name: [(name, source) for source in ("hau", "swa", "wol")] for name in ("base", "swa")}
    return error_buckets.buckets(*sample, groups)


def test_buckets_sum_to_the_totals(sample: tuple, found: error_buckets.Buckets) -> None:
    table, (there, _) = found.table, sample
    sums = table.groupby(["target", "start", "source", "attribute"])[["gold", "predicted", "correct"]].sum()
    assert len(sums) == sum(len({c[:2] for c in one.cells}) for one in there.values()) * len(error_buckets.ATTRIBUTES)
    for (target, start, source, _), row in sums.iterrows():
        one = there[target]
        cells = [i for i, place in enumerate(one.cells) if place[:2] == (start, source)]
        ours = np.isin(one.cell, cells)
        wanted = [len(one.gold_first), ours.sum() / len(cells), (ours & one.correct).sum() / len(cells)]
        assert row.tolist() == pytest.approx(wanted)


def test_unseen_entities_are_harder(found: error_buckets.Buckets) -> None:
    summary = found.summary[found.summary["attribute"] == "in train"]
    f1 = summary.set_index(["start", "setting", "bucket"])
    for start in ("base", "swa"):
        for setting in error_buckets.SETTINGS:
            seen, unseen = f1.loc[start, setting, "seen"], f1.loc[start, setting, "unseen"]
            assert unseen["high"] < seen["low"], (start, setting)
            assert (seen["n_pairs"], seen["n_seeds"]) == (6 if setting == "zero-shot" else 3, 5)


def test_f1_of_a_bucket_and_its_gap(sample: tuple, found: error_buckets.Buckets) -> None:
    there, _ = sample
    one = there["swa"]
    mean = {}
    for start in ("base", "swa"):
        values = []
        for i, place in enumerate(one.cells):
            if place[:2] != (start, "hau"):
                continue
            ours = (one.cell == i) & (one.end - one.first == 2)
            gold = int((one.gold_end - one.gold_first == 2).sum())
            values.append(200 * (ours & one.correct).sum() / (gold + ours.sum()))
        mean[start] = np.mean(values)
    keys = ["start", "source", "target", "attribute", "bucket"]
    rows, gaps = found.table.set_index(keys), found.gaps.set_index(keys)
    place = ("hau", "swa", "length", "2")
    for start, value in mean.items():
        row = rows.loc[(start, *place)]
        assert row["f1"] == pytest.approx(value) and row["low"] < value < row["high"]
    gap = gaps.loc[("swa", *place)]
    assert gap["difference"] == pytest.approx(mean["swa"] - mean["base"])
    assert gap["low"] < gap["difference"] < gap["high"] and set(found.gaps["start"]) == {"swa", "hau", "wol"}


def test_p_of_gaps_is_corrected_over_all_starts_pairs_and_buckets_of_an_attribute(found: error_buckets.Buckets) -> None:
    families = found.gaps.groupby("attribute")
    assert len(families) == len(error_buckets.ATTRIBUTES)
    for _, rows in families:
        np.testing.assert_array_equal(rows["p_holm"], comparison.holm(rows["p"]))
    assert (found.gaps["p_holm"] > found.gaps["p"]).sum() > 100


def test_draws_are_the_first_of_those_for_all_entities() -> None:
    few, many = (means.sentence_weights(57, n, np.random.default_rng(3)) for n in (40, inference.RESAMPLES))
    assert np.array_equal(few, many[:40])


def test_a_bucket_without_entities_has_no_f1() -> None:
    data = {"hau": corpus_of([["a", "b"]], [["B-LOC", "O"]])}
    there = tagged({("base", "hau", seed): file_of([["B-LOC", "O"]]) for seed in (0, 1)}, data)
    made_of = error_buckets.buckets(there, data, {"base": [("base", "hau")]}, resamples=20)
    length = made_of.table[made_of.table["attribute"] == "length"].set_index("bucket")
    assert length.loc["1", "f1"] == 100 and np.isnan(length.loc["2", "f1"]) and length.loc["2", "gold"] == 0
    assert not len(made_of.gaps)


def test_draws_without_a_gold_entity_do_not_count() -> None:
    """One gold entity a target, always found: no draw says anything else, however rare it is."""
    targets = [f"t{i}" for i in range(10)]
    gold = [["B-LOC", "O"], *[["O", "O"]] * 19]
    data = dict.fromkeys(["hau", *targets], corpus_of(words_for(gold), gold))
    predicted = predicted_entities.to_bytes({(target, "test"): scores.entities(gold) for target in targets})
    files = {("base", "hau", seed): predicted for seed in range(3)}
    done = error_buckets.buckets(tagged(files, data), data, {"base": [("base", "hau")]}, resamples=200)
    rows = [table.loc[table["gold"] > 0] for table in (done.table, done.summary)]
    assert len(rows[0]) == 10 * len(rows[1]) == 10 * len(error_buckets.ATTRIBUTES)
    for table in rows:
        assert (table[["f1", "low", "high"]] == 100).all(axis=None)


def test_a_bucket_of_predictions_alone_has_no_interval_and_no_test() -> None:
    gold, said = [["B-LOC", "O", "O"]] * 4, [["B-LOC", "I-LOC", "O"]] * 4
    data = {"hau": corpus_of(words_for(gold), gold)}
    files = {(start, "hau", seed): file_of(said) for start in ("base", "swa") for seed in (0, 1)}
    done = error_buckets.buckets(tagged(files, data), data, {"base": [("base", "hau")]}, resamples=50)
    keys = ["attribute", "bucket"]
    row = done.table[done.table["start"] == "base"].set_index(keys).loc[("length", "2")]
    assert (row["f1"], row["gold"], row["predicted"]) == (0, 0, 4) and row[["low", "high"]].isna().all()
    gap = done.gaps.set_index(keys).loc[("length", "2")]
    assert gap["difference"] == 0 and gap[["low", "high", "p", "p_holm"]].isna().all()


def test_cells_of_several_languages_know_the_train_splits_of_all_of_them() -> None:
    words, gold = [["Kano", "Musa", "Ada"]], [["B-LOC", "B-PER", "B-PER"]]
    data = {
        "hau": corpus_of(words, gold, ([["Kano", "Kano"]], [["B-LOC", "O"]])),
        "swa": corpus_of(words, gold, ([["Musa", "Kano"]], [["B-PER", "B-LOC"]])),
        "wol": corpus_of(words, gold),
    }
    predicted = predicted_entities.to_bytes({(t, "test"): scores.entities([["B-LOC", "O", "B-PER"]]) for t in data})
    files = {("base", source, 0): predicted for source in ("hau", "hau+swa", "hau+zzz")}
    group = {"base": [("base", "hau"), ("base", "hau+swa")]}
    done = error_pages.analyse("s", "i", files, data, list(data), group, "base")
    assert done is not None
    assert set(done.tables.kinds["source"]) == {"hau", "hau+swa"}  # zzz has no corpus
    rows = done.tables.buckets.table.set_index(["source", "target", "attribute", "bucket"])["gold"].sort_index()
    for source, (seen, often, half) in {"hau": (1, 0, 1), "hau+swa": (2, 1, 0)}.items():
        there = rows[source, "wol"]
        assert (there["in train", "seen"], there["frequency", "2-4"]) == (seen, often), source
        assert there["consistency", "up to 50 %"] == half, source
    # the mean is over what is zero-shot, or in-language: a target among several sources is neither
    summary = done.tables.buckets.summary.query("attribute == 'length' and bucket == '1'").set_index("setting")
    assert summary["n_pairs"].to_dict() == {"zero-shot": 3, "in-language": 1}
    assert done.tables.kinds_of_groups.set_index("setting")["scores"].to_dict() == {"zero-shot": 3, "in-language": 1}
    found = tagged({place: content for place, content in files.items() if place[1] != "hau+zzz"}, data)
    confused = error_pages.confusion("hau", found["hau"], done.tables.confusion)
    assert confused["setting"].tolist() == ["in-language"] * 3 + ["target among the sources"] * 3
    columns = ["gold", "as LOC", "as PER", "as O", "gold_entities"]
    assert (
        confused[columns].fillna(-1).to_numpy().tolist()
        == [["LOC", 1, 0, 0, 1], ["PER", 0, 1, 1, 2], ["O", 0, 0, 0, -1]] * 2
    )


def test_what_the_errors_leave_out_is_counted() -> None:
    gold = [["B-LOC", "O"]]
    data = {name: corpus_of(words_for(gold), gold) for name in ("hau", "swa")}
    made_of = error_pages.analyse("s", "i", {("base", "hau", 0): file_of(gold)}, data, ["hau"], {}, "base")
    places = [("base", "hau", 0, "hau"), ("base", "hau", 0, "swa"), ("base", "hau+zzz", 0, "hau")]
    rows = [(*place, split, category) for place in places for split in ("dev", "test") for category in ("ALL", "LOC")]
    frame = pd.DataFrame(rows, columns=["start", "source", "seed", "target", "split", "category"])

    def told(frame: pd.DataFrame) -> str:
        return reasons._without_errors(SimpleNamespace(found=SimpleNamespace(frame=frame), errors=made_of))  # type: ignore[arg-type]

    assert " 2 of 3 scores are left out" in told(frame) and "source hau and hau+zzz; target swa and hau." in told(frame)
    assert told(frame[(frame["target"] == "hau") & (frame["source"] == "hau")]) == ""


def test_a_start_of_which_no_seed_has_all_pairs_keeps_its_rows() -> None:
    gold = [["B-LOC", "O"]]
    data = {name: corpus_of(words_for(gold), gold) for name in ("hau", "swa")}
    both = predicted_entities.to_bytes({(name, "test"): scores.entities(gold) for name in data})
    files = {("base", "hau", 0): both, ("base", "swa", 0): both, ("swa", "hau", 0): both, ("swa", "swa", 1): both}
    groups = {start: [(start, source) for source in data] for start in ("base", "swa")}
    for chosen in (groups, {"swa": groups["swa"]}):  # also where it is alone
        summary = error_buckets.buckets(tagged(files, data), data, chosen, resamples=20).summary
        rows = summary[summary["start"] == "swa"].set_index(["setting", "attribute", "bucket"])
        buckets = sum(map(len, error_buckets.ATTRIBUTES.values()))
        assert len(summary) == len(chosen) * 2 * buckets and len(rows) == 2 * buckets
        assert rows[["f1", "low", "high"]].isna().all(axis=None) and not rows[["n_seeds", "n_pairs"]].any(axis=None)
        assert set(rows["missing"]) == {"no seed has all its pairs"}
        note = "no seed has all its pairs: swa (zero-shot) and swa (in-language)"
        assert reasons._without_mean(summary) == note
    summary = error_buckets.buckets(tagged(files, data), data, groups, resamples=20).summary
    assert list(dict.fromkeys(summary["start"])) == ["base", "swa"]
    known = summary[(summary["start"] == "base") & (summary["gold"] > 0)]
    assert (known["f1"] == 100).all() and set(known["missing"]) == {""}
    figure = plots.intervals(reasons.seen_and_unseen(summary), "bucket", "start", "a title", "F1 (%)", {})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["base", "swa"]


def test_the_file_of_a_cell_and_its_predictions_hold_the_same_entities() -> None:
    tags = [["B-PER", "I-PER", "O"], ["I-LOC"], ["O", "B-ORG"]]
    text = "".join("".join(f"w O {tag}\n" for tag in one) + "\n" for one in tags)
    a, b = scores.entities(tags), predicted_entities.from_text(text)
    assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("first", "end", "category", "ends"))
    table, words = predicted_entities.from_bytes(file_of(tags))
    assert (
        words == {"hau.test": 6} and table["first"].to_pylist() == [0, 3, 5] and table["words"].to_pylist() == [2, 1, 1]
    )
    assert predicted_entities.from_bytes(file_of([["O"]]))[1] == {"hau.test": 1}


def test_what_fits_no_corpus_is_left_out() -> None:
    gold = [["B-LOC", "O"]]
    data = {"hau": corpus_of(words_for(gold), gold)}
    files = {
        ("base", "hau", 0): file_of(gold),
        ("base", "hau", 1): file_of([["B-LOC"]]),
        ("base", "hau", 2): file_of([["O", "O"]]),
    }
    assert tagged(files, data)["hau"].cells == [("base", "hau", 0), ("base", "hau", 2)]
    assert (
        tagged({}, data) == {}
        and error_kinds.analyse({("base", "zzz", 0): file_of(gold)}, data, ["hau"], {}, "base") is None
    )


# --- the report ----------------------------------------------------------------------------------------------


def test_the_report_shows_errors_and_escapes_words(tmp_path: Path) -> None:
    languages = ("aaa", "nya")
    sentence = [f"{HOSTILE} B-PER", "x I-PER", "said O", "Kano B-LOC"]
    for language in languages:
        for name in schema.SPLITS:
            path = tmp_path / "data" / language / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(sentence) + "\n\n" + "then O\nLagos B-LOC\n")
    data = DataOptions(str(tmp_path / "data"))
    corpora = corpus.load(data)
    uri = f"sqlite:///{make_store(tmp_path)}"
    opened = client(uri)
    experiment = opened.create_experiment("study", artifact_location=(tmp_path / "artifacts").as_uri())
    for start in ("base", "aaa"):
        for source in languages:
            for seed in (0, 1):
                tags = {"corpus_digest/" + t: corpora[t].digest for t in languages}
                tags |= {f"predictions_digest/{t}.test": f"{start}{source}{seed}{t}" for t in languages}
                run = made.log_cell(opened, experiment, (start, source, seed), languages, tags=tags)
                for target in languages:  # as a run of before there was a file of entities
                    text = (
                        f"{HOSTILE} B-PER B-PER\nx I-PER O\nsaid O O\nKano B-LOC B-LOC\n\nthen O O\nLagos B-LOC O\n\n"
                    )
                    opened.log_text(run, text, f"{schema.PREDICTIONS}/{target}.test.txt")
    tracking = TrackingOptions(study="study", tracking_uri=uri)
    index = report.write(AnalyseConfig(data, tracking, output=str(tmp_path / "out")))
    kinds = list(csv.DictReader((index.parent / "errors/kinds.csv").open()))
    assert len(kinds) == 2 * 2 * 2 * 2
    assert {(row["error correct"], row["error boundary"], row["error missing"]) for row in kinds} == {("1", "1", "1")}
    names = {path.name for path in (index.parent / "errors").iterdir()}
    assert names == {
        "confusion.csv", "kinds.csv", "kinds_summary.csv", "examples.csv", "buckets.csv", "bucket_gaps.csv",
        "buckets_summary.csv", "suspects.csv", "aaa.html", "nya.html",
    }  # fmt: skip
    assert (index.parent / "figures/seen.png").is_file()
    text = index.read_text()
    assert HOSTILE not in (index.parent / "errors/aaa.html").read_text() and "errors on aaa" in text
    assert HOSTILE not in text and "Errors: which entities are hard" in text
    assert any(f"[{{{HOSTILE}}} x]" in part for part in Page(text).texts)
