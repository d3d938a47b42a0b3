"""What a study says with and without what is not used."""

from dataclasses import replace

from audit_runs import cell_run, plan_run, study, valid

from analysis.report import sensitivity
from analysis.transfer import verdicts


def test_claims_change_with_a_copied_start() -> None:
    """zed has the models of aaa: with them the best pair is shared, without them aaa is ahead."""
    cells = [(start, source, seed) for start in ("base", "aaa", "zed") for source in ("nya", "zed") for seed in (0, 1)]
    runs = [cell_run(cell, valid(("aaa", *cell[1:]) if cell[0] == "zed" else cell)) for cell in cells]
    every = study([plan_run(starts=["base", "aaa", "zed"], sources=["nya", "zed"], seeds=[0, 1]), *runs])
    judged = verdicts.verdicts(every.frame)
    assert set(judged.excluded["start"]) >= {"zed"}
    table = sensitivity.consequences(every, verdicts.without(every, judged), "base").set_index("claim")
    assert table["differs"].tolist() == sorted(table["differs"], reverse=True)  # those that differ come first
    assert table.loc["mean zero-shot F1, start zed", "used"] == "" and table["differs"].any()
    base = table.loc["mean zero-shot F1, start base"]
    assert base["used"] == base["with_all"] and not base["differs"]
    nearly = replace(every, frame=every.frame.assign(f1=every.frame["f1"] + 0.004))
    table = sensitivity.consequences(every, nearly, "base")
    assert (table["used"] != table["with_all"]).any() and not table["differs"].any()  # less than a point
    further = replace(every, frame=every.frame.assign(f1=every.frame["f1"] + 0.011))
    assert sensitivity.consequences(every, further, "base").set_index("claim").loc[
        "mean zero-shot F1, start base", "differs"
    ]  # fmt: skip
    same = sensitivity.consequences(every, every, "base")
    assert not same["differs"].any() and len(same)
