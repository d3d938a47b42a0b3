"""Ranking by what another study tells: the shipped prior, a file, a study; nothing of one's own is needed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project_scripts import ROOT

from analysis.ranking import from_prior, prior
from analysis.ranking.features import hashed, names_of
from analysis.report import ranked
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.corpora.conll import Sentence
from nertransfer.corpora.corpus import Split
from nertransfer.corpora.languages import LANGUAGES, MASAKHANER2

PUBLISHED = prior.read(prior.PUBLISHED)


def rank(target: str, **given: object) -> from_prior.FromPrior:
    return from_prior.compute(PUBLISHED, RankConfig(target=target, prior="published", **given))  # type: ignore[arg-type]


def test_the_shipped_prior_has_scores_and_features_and_no_text() -> None:
    content = json.loads(prior.SHIPPED["published"].read_text(encoding="utf-8"))
    assert len(content["scores"]) == len(PUBLISHED.rows) == 256 and "Beukman" in content["cited"]
    assert set(content) == {
        "version",
        "name",
        "cited",
        "start",
        "columns",
        "coefficients",
        "lineages",
        "names",
        "scores",
    }
    kept = dict(zip(zip(PUBLISHED.rows.start, PUBLISHED.rows.source, PUBLISHED.rows.target), PUBLISHED.rows.f1))  # noqa: B905
    assert kept["base", "hau", "swa"] == pytest.approx(76.3, abs=0.05)
    assert "pcm" not in PUBLISHED.rows.start  # a copy of kin, as its scores say
    assert all(300 < len(one) < 3000 for one in PUBLISHED.names.values()) and len(PUBLISHED.names) == 9


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(prior.text(PUBLISHED), encoding="utf-8")
    again = prior.read(str(path))
    assert again.names == PUBLISHED.names and again.sources == PUBLISHED.sources
    assert again.rows.f1 == pytest.approx(PUBLISHED.rows.f1)
    assert path.read_text(encoding="utf-8") == prior.SHIPPED["published"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "it is not JSON") for text in ("", "{", "hello", "\xff", "[" * 100_000)),
        ("[]", "it has no version"), ("{}", "it has no version"), ('{"version": 1}', "name is missing"),
        ('{"version": 9}', "its version is 9, and 1 is read"),
        ('{"version": "1"}', 'its version is "1", and 1 is read'),
    ],
)  # fmt: skip
def test_a_file_that_is_no_prior_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError) as raised:
        prior.read(str(path))
    assert str(raised.value) == f"prior={str(path)!r} is no prior: {message}; rank writes one with save_prior"


def with_score(place: int, value: object):  # type: ignore[no-untyped-def]
    def change(content: dict) -> None:
        content["scores"][1][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_score(5, float("nan")), "scores, row 2: f1 NaN is not a number from 0 to 100"),
        (with_score(5, float("inf")), "scores, row 2: f1 Infinity is not a number from 0 to 100"),
        (with_score(5, "52.0"), 'scores, row 2: f1 "52.0" is not a number from 0 to 100'),
        (with_score(5, True), "scores, row 2: f1 true is not a number from 0 to 100"),
        (with_score(5, None), "scores, row 2: f1 null is not a number from 0 to 100"),
        (with_score(3, "x" * 99), f'name_overlap "{"x" * 39} ... is neither null nor a number from -1 to 1'),
        (with_score(4, float("nan")), "genetic_distance NaN is neither null nor a number from -1 to 1"),
        (with_score(0, 1), "scores, row 2: start 1 is not a name"),
        (with_score(0, "a\x1b[2J"), "is not a name"),
        (with_score(1, "../x"), 'scores, row 2: "../x" is not the code of a language'),
        (lambda c: c["scores"][1].__setitem__(slice(1, 3), ["swa", "swa"]), "swa is source and target"),
        (lambda c: c["scores"][1].pop(), "scores, row 2: not a list of 6 values"),
        (lambda c: c["scores"].append(c["scores"][0]), "it has two scores of base-wol on pcm"),
        (lambda c: c.update(scores=[]), "it has no score of its start base"),
        (lambda c: c.update(scores=[[*row[:5], row[5] / 100] for row in c["scores"]]), "F1 is in percent"),
        (lambda c: c.update(scores={}), "scores is not a list"),
        (lambda c: c.update(columns=["start"]), "columns are not start, source, target, name_overlap"),
        (lambda c: c.update(start="xlmr"), "it has no score of its start xlmr"),
        (lambda c: c.update(cited="a\x1b[2J"), "cited is empty, or has characters that cannot be printed"),
        (lambda c: c["names"].update(swa="@@@@"), 'names: those of "swa" are not hashes in base64'),
        (lambda c: c["names"].update(swa="AAAA" + "AA=="), 'names: those of "swa" are not hashes in base64'),
        (lambda c: c["lineages"].update(qqq="Bantu"), 'lineages: that of "qqq" is not a list of names'),
    ],
)
def test_a_wrong_value_in_a_prior_is_told_with_its_row(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(prior.SHIPPED["published"].read_text(encoding="utf-8"))
    change(content)
    (tmp_path / "p.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        prior.read(str(tmp_path / "p.json"))
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "p.json").open("wb") as file:
        file.truncate(prior.MOST_BYTES + 1)
    with pytest.raises(InputError, match="at most 16,777 are read"):
        prior.read(str(tmp_path / "p.json"))


def test_too_few_scores_to_judge_by_are_an_error() -> None:
    rows = PUBLISHED.rows
    few = replace(PUBLISHED, rows=rows.where(np.isin(rows.target, ["swa", "hau", "kin"])))
    one = replace(PUBLISHED, rows=rows.where(rows.source == "swa"))
    for told, given, message in (
        (few, {}, r"start='base': .* at least 3 sources and 4 targets are needed; starts with enough: none"),
        (PUBLISHED, {"start": "kin"}, r"start='kin': .* starts with enough: base, swa"),
        (one, {}, "at least two sources other than zul are needed, and this prior has swa; name more in sources"),
        (PUBLISHED, {"sources": ("zul", "hau")}, "and sources has hau; name more in sources"),
    ):
        with pytest.raises(InputError, match=message):
            from_prior.compute(told, RankConfig(target="zul", prior="published", **given))


def test_scores_of_the_start_that_is_adapted_to_the_target_count_on_other_targets() -> None:
    table = rank("swa", start="swa").table
    assert table["f1_low"].notna().all() and table["expected_regret"].is_monotonic_increasing


def test_a_prior_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.json").write_text(prior.text(PUBLISHED), encoding="utf-8")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert prior.is_file("../p.json") and prior.read("../p.json").sources == PUBLISHED.sources
    assert prior.is_file("published") and not prior.is_file("p")


def test_names_are_words_that_are_mostly_entities() -> None:
    sentence = Sentence(("Kano", "na", "Kano", "12", "na"), ("B-LOC", "B-LOC", "O", "B-DATE", "O"))
    other = Sentence(("na", "Ali"), ("O", "B-PER"))
    assert names_of(Split("hau", "", (sentence, other), "")) == {hashed("Kano"), hashed("Ali")}


@pytest.mark.parametrize("target", ["bbj", "kin"])
def test_a_language_is_ranked_by_its_code(target: str) -> None:
    assert len(MASAKHANER2) == 20 and set(MASAKHANER2) < set(LANGUAGES)  # any of them
    table = rank(target).table
    assert set(table["source"]) == set(PUBLISHED.sources) - {target}
    assert table["expected_f1"].is_monotonic_decreasing and table["expected_regret"].is_monotonic_increasing
    assert table["genetic_distance"].between(0, 1).all()


def test_a_text_brings_names_in_common(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Nairobi, Kenya, Uhuru Kenyatta, Dar es Salaam, Rais, Dodoma\n", encoding="utf-8")
    assert any("has 9 distinct words, and at least 100" in line for line in rank("zul", text=str(path)).said)
    with path.open("a", encoding="utf-8") as file:
        file.write(" ".join(f"neno{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(120)))
    with_text, without = rank("zul", text=str(path)), rank("zul")
    assert with_text.table["name_overlap"].notna().all() and "name_overlap" not in without.table
    names = with_text.table.set_index("source")["name_overlap"]
    assert names.idxmax() in ("swa", "luo") and names["yor"] < names["swa"]
    assert any("give text" in line for line in without.said)


def test_sources_that_the_prior_has_not_seen_are_ranked_by_closeness_and_that_is_said() -> None:
    done = rank("zul", sources=("xho", "sna", "swa", "wol"))
    places = done.table.set_index("source")["place"]
    assert done.unseen == ["xho", "sna"] and places["xho"] < places["wol"]
    assert "and half of the sources, because the prior has no score of xho and sna" in from_prior.text(
        done, RankConfig(target="zul")
    )
    with pytest.raises(InputError, match="sources='qqq': nothing is known of this language"):
        rank("zul", sources=("qqq", "swa"))
    with pytest.raises(InputError, match="start='xlmr' has no scores in this prior; it has base, "):
        rank("zul", start="xlmr")


@pytest.mark.parametrize("unseen", [False, True])
def test_on_the_published_study_it_is_no_worse_than_plain_rules(unseen: bool) -> None:
    """With target and, where sources are new, half of the sources left out; regret is the mean of base and swa."""
    from analysis.ranking.mixed import Mixed

    model = Mixed(PUBLISHED.rows)
    found = pd.concat([from_prior.judge(model, start, unseen) for start in ("base", "swa")])
    found = found.groupby("rule")["regret"].mean()
    assert found["model"] < min(found[["names", "relatives", "random", "average"]])
    assert found["model"] < (3 if unseen else 2)


def test_intervals_hold_most_of_what_had_no_part_in_their_width() -> None:
    for given in ({}, {"sources": ("xho", "sna", "swa", "wol", "hau")}):
        widened = rank("zul", **given).widened
        assert widened.targets == 9 and widened.cases >= 72
        assert widened.f1_held >= 0.95 and 0.9 <= widened.regret_held < 1


def test_adapting_is_compared_with_the_first_source_of_the_same_start() -> None:
    done = rank("kin")
    first, found = done.table.iloc[0], done.adapting
    assert found is not None and (found.start, found.source) == (first["start"], first["source"])
    assert set(found.gains["first_start"]) == {"base"} and "kin" not in set(found.gains["target"])
    assert found.measured_f1 == pytest.approx(70.6, abs=0.05)


def test_it_works_without_store_and_corpora_and_loads_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    script = (
        "import runpy, sys, time; sys.argv = ['rank', 'zul', '--prior', 'published']; "
        f"runpy.run_path({str(ROOT / 'entrypoints' / 'rank.py')!r}, run_name='__main__'); "
        "print(sorted({'torch', 'mlflow', 'transformers', 'sklearn'} & set(sys.modules)), time.process_time())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, seconds = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert loaded == "[]" and float(seconds) < 5
    assert "Sources for zul from base, by the prior published alone:" in done.stdout
    assert "Measured coverage of the 95 % intervals" in done.stdout and "Prior: Beukman (2021)" in done.stdout
    table = pd.read_csv(tmp_path / "reports" / "prior-published" / "recommended" / "zul-base.csv")
    assert list(table.columns[:4]) == ["place", "start", "source", "expected_f1"] and len(table) == 10
    new = table.iloc[-1]  # the pair that adapting a start would give: with its expected F1, without a place
    assert (new["start"], new["source"]) == ("zul", "swa") and np.isnan(new["place"]) and new["f1_low"] > 0
    assert new["because"].endswith(f"on base-{table['source'][0]}, once zul is adapted")
    gains = pd.read_csv(tmp_path / "reports" / "prior-published" / "recommended" / "zul-base.adapting.csv")
    assert new["expected_f1"] == pytest.approx(table["expected_f1"][0] + gains["gain"].mean())
    assert list(tmp_path.iterdir()) == [tmp_path / "reports"]


def test_bad_combinations_are_refused() -> None:
    for given, message in (
        ({"sources": ("swa", "hau")}, "sources='swa,hau' is not allowed: prior says"),
        ({"prior": "published", "encoder": "base"}, "encoder='base' is not allowed: not with prior"),
        ({"prior": "published", "uriel": True}, "uriel=True is not allowed"),
        ({"prior": "published", "ranker": "average"}, "ranker='average' is not allowed"),
    ):
        with pytest.raises(InputError, match=message):
            RankConfig(target="zul", **given)


def test_a_ranking_of_a_language_that_the_prior_has_leaves_its_scores_out(tmp_path: Path) -> None:
    gone = PUBLISHED.rows.of(["wol"])
    noise = np.random.default_rng(0).uniform(0, 90, len(gone))
    other = replace(PUBLISHED, rows=replace(PUBLISHED.rows, f1=np.where(gone, noise, PUBLISHED.rows.f1)))
    config = RankConfig(target="wol", prior="published", output=str(tmp_path))
    one, two = from_prior.compute(PUBLISHED, config).table, from_prior.compute(other, config).table
    pd.testing.assert_frame_equal(one.drop(columns="measured_f1"), two.drop(columns="measured_f1"))
    assert ranked.by_prior(config, PUBLISHED).name == "wol-base.csv"
    assert set(LANGUAGES) >= set(PUBLISHED.sources)
