"""What is not used of a study: another start's models under its own name, and fine-tunings that collapsed."""

from pathlib import Path

import pandas as pd
import published_frames
import pytest
from audit_runs import cell_run, plan_run, study, valid

from analysis.audit.unused import unused
from analysis.transfer import verdicts

STARTS, LANGUAGES = ["base", "aaa", "bbb", "ccc"], ["aaa", "bbb", "ccc", "ddd"]


def scores(copies: dict[str, str]) -> pd.DataFrame:
    """Two seeds of every start on ddd, each better on the language of its name; ``copies``: starts whose models are
    another's."""
    rows = []
    for start in STARTS:
        of = copies.get(start, start)
        for seed in (0, 1):
            for j, target in enumerate(LANGUAGES):
                f1 = 0.4 + 0.05 * j + 0.01 * seed + 0.002 * STARTS.index(of) + 0.1 * (of == target)
                rows.append((start, "ddd", seed, target, "test", "ALL", f1, f1, f1, 9))
    return pd.DataFrame(rows, columns=published_frames.COLUMNS)


def named(table: pd.DataFrame) -> list[str]:
    return [f"{start}-{source}" for start, source in table[["start", "source"]].itertuples(index=False)]


def test_the_published_start_pcm_is_that_of_kin(shared_data: Path) -> None:
    """pcm-swa equals kin-swa in all seeds and targets, and pcm-pcm helps kin most, too: neither is used any more."""
    found = verdicts.excluded(published_frames.every_published_score(shared_data))
    assert named(found) == ["pcm-swa", "pcm-pcm"]
    assert found["helps_most"].tolist() == ["kin", "kin"] and found["gain"].round(1).tolist() == [12.7, 22.6]
    assert found["equals"].tolist() == ["kin-swa", ""]
    finding = unused(verdicts.Verdicts(found, verdicts.none().collapsed))[0]
    assert finding.title == "2 configurations excluded"
    assert "pcm-swa helps kin most (+12.7 points) and pcm-pcm helps kin most (+22.6 points)" in finding.text


def test_of_equal_configurations_the_one_that_behaves_as_it_is_called_stays() -> None:
    assert named(verdicts.excluded(scores({}))) == []
    assert named(verdicts.excluded(scores({"ccc": "aaa"}))) == ["ccc-ddd"]
    assert named(verdicts.excluded(scores({"bbb": "base"}))) == ["bbb-ddd"]  # base is what it is
    assert named(verdicts.excluded(scores({"bbb": "base"}).assign(f1=0.06))) == []  # models that learnt next to nothing
    # a start that is in truth a third one: nothing says whose the models are
    frame = scores({"bbb": "ccc"})
    found = verdicts.excluded(frame.assign(start=frame["start"].replace("ccc", "zzz")))
    assert named(found) == ["bbb-ddd", "zzz-ddd"] and "behaves as" not in " ".join(found["reason"])


def test_where_all_would_be_excluded_all_stays() -> None:
    frame = scores({"bbb": "aaa"})
    frame = frame[frame["start"].isin(["aaa", "bbb"])].replace({"aaa": "one", "bbb": "two"})
    assert named(verdicts.excluded(frame)) == []


@pytest.mark.parametrize(
    ("seeds", "down", "means"),
    [
        ((80.0, 81.0, 79.0, 0.0, 80.0), [3], (80.0, 64.0)),  # 0 always
        ((80.0, 80.0, 80.0, 35.0, 80.0), [3], (80.0, 71.0)),  # below half of the best
        ((80.0, 81.0, 79.0, 55.0, 80.0), [], None),
        ((30.0, 12.0), [], None),  # below half, and 18 points
        ((80.0, 40.0, 60.0, 30.0, 70.0), [3], (62.5, 56.0)),
        ((80.0, 5.0, 5.0), [1, 2], (80.0, 30.0)),  # most of them collapsed
        ((80.0, 35.0), [1], (80.0, 57.5)),
        ((50.0,), [], None),
        ((0.0, 0.0), [0, 1], None),
    ],
)
def test_collapsed_fine_tunings_by_the_declared_rule(
    seeds: tuple[float, ...], down: list[int], means: tuple[float, float] | None
) -> None:
    found = verdicts.collapsed(published_frames.frame_of({("base", "hau"): seeds}))
    assert found["seed"].tolist() == down
    assert found["used"].tolist() == [len(down) == len(seeds)] * len(down)  # where all collapsed, all stay
    if means is not None:
        assert found[["mean_without", "mean_with"]].iloc[0].tolist() == pytest.approx(means)


def test_scores_on_the_test_split_decide_only_where_there_is_no_dev() -> None:
    fine, bad = (80.0, 81.0, 79.0), (80.0, 81.0, 5.0)
    dev, test = (
        published_frames.frame_of({("base", "hau"): seeds}, split) for split, seeds in (("dev", fine), ("test", bad))
    )
    assert verdicts.collapsed(pd.concat([dev, test])).empty
    assert verdicts.collapsed(test)[["seed", "measured_on"]].to_numpy().tolist() == [[2, "test of the source"]]
    elsewhere = verdicts.collapsed(test.assign(target="swa"))
    assert elsewhere["measured_on"].tolist() == ["test, mean over targets"]
    both = pd.concat([published_frames.frame_of({("base", "hau"): bad}, "dev"), test.assign(f1=0.8)])
    found = verdicts.collapsed(both)
    assert found[["seed", "measured_on", "best"]].to_numpy().tolist() == [[2, "dev of the source", 81.0]]
    assert verdicts.Verdicts(verdicts.none().excluded, found).dropped == {("base", "hau", 2)}


def test_few_scores_that_are_equal_are_no_copies() -> None:
    frame = scores({"ccc": "aaa"})
    assert named(verdicts.excluded(frame)) == ["ccc-ddd"]
    assert named(verdicts.excluded(frame.assign(f1=frame["f1"].round(1)))) == []
    assert named(verdicts.excluded(frame.assign(f1=1.0))) == []


def test_what_is_not_used_is_in_no_frame_and_not_missing() -> None:
    cells = [(start, "nya", seed) for start in ("base", "aaa", "zed") for seed in (0, 1, 2)]
    runs = [cell_run(cell, valid(("aaa", *cell[1:]) if cell[0] == "zed" else cell)) for cell in cells]
    found = study([plan_run(starts=["base", "aaa", "zed"], sources=["nya"]), *runs])
    judged = verdicts.Verdicts(
        pd.DataFrame([("zed", "nya")], columns=["start", "source"]),
        pd.DataFrame([("base", "nya", 1, False)], columns=["start", "source", "seed", "used"]),
    )
    kept = verdicts.without(found, judged)
    places = set(kept.frame[["start", "source", "seed"]].itertuples(index=False, name=None))
    assert places == {("base", "nya", 0), ("base", "nya", 2), *((("aaa", "nya", seed)) for seed in (0, 1, 2))}
    assert kept.plan["pairs"] == [("base", "nya"), ("aaa", "nya")] and kept.plan["starts"] == ["base", "aaa"]
    assert len(kept.cells) == len(found.cells) and verdicts.without(found, verdicts.none()) is found
