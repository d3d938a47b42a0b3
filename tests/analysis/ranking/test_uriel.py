"""What URIEL says of languages: as the real files have it, and by hand on files of the same form."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.ranking import pairs, recommendation, uriel
from analysis.ranking.features import Aids, facts, genetic_distance, great_circle
from nertransfer.core.config import RankConfig
from nertransfer.core.errors import InputError
from nertransfer.corpora.languages import LANGUAGES, MASAKHANER, MASAKHANER2

POINTS = {"GC_90_0": (90, 0), "GC_0_0": (0, 0), "GC_0_90": (0, 90), "GC_-30_-60": (-30, -60)}
PLACES = {"aaa": (10.0, 20.0), "bbb": (-45.0, 170.0)}


def save(path: Path, names: list[str], rows: dict[str, list[float]]) -> None:
    data = np.array(list(rows.values()), np.float32)[:, :, None]
    np.savez(path, feats=np.array(names), langs=np.array(list(rows)), data=data, sources=np.array(["x"]))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lang2vec of two languages whose files list them in different orders, before any other on the path."""
    data = tmp_path / "lang2vec" / "data"
    data.mkdir(parents=True)
    (tmp_path / "lang2vec-1.1.2.dist-info").mkdir()
    (tmp_path / "lang2vec-1.1.2.dist-info" / "METADATA").write_text("Name: lang2vec\nVersion: 1.1.2\n")
    (tmp_path / "lang2vec" / "__init__.py").write_text("raise ImportError('its code does not run')")
    kinds = ["S_A", "S_B", "P_A", "INV_A"]
    save(data / "feature_predictions.npz", kinds, {"aaa": [1, 0, 1, 1], "bbb": [1, 1, 0, 1]})
    save(data / "family_features.npz", ["F_Wide", "F_Other", "F_Narrow"], {"bbb": [0, 0, 0], "aaa": [1, 0, 1]})
    half = math.pi * 6.371
    apart = {code: [great_circle(place, point) / half for point in POINTS.values()] for code, place in PLACES.items()}
    save(data / "geocoord_features.npz", list(POINTS), {code: apart[code] for code in ("bbb", "aaa")})
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_features_lineage_and_place_by_hand(small: Path) -> None:
    found = uriel.read(["bbb", "aaa", "zzz", "aaa"])
    assert set(found) == {"aaa", "bbb"}
    assert found["aaa"].lineage == ("F_Wide", "F_Narrow") and found["bbb"].lineage == ()
    for code, place in PLACES.items():
        assert found[code].place == pytest.approx(place, abs=1e-3)
    kinds = {kind: values.tolist() for kind, values in found["bbb"].features.items()}
    assert kinds == {"syntactic": [1, 1], "phonological": [0], "inventory": [1], "featural": [1, 1, 0, 1]}
    assert uriel.read(["zzz"]) == {}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise uriel.PackageNotFoundError(name)

    monkeypatch.setattr(uriel, "distribution", absent)
    with pytest.raises(
        InputError, match=r"uriel=true needs the files of lang2vec: pip install -c constraints.txt -e '\.\[uriel\]'"
    ):
        uriel.read(["swa"])


# --- the real files --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> dict[str, uriel.Typology]:
    return uriel.read(sorted({*MASAKHANER, *MASAKHANER2, "en", "sw"}))


def test_every_language_of_masakhaner_is_there(real: dict[str, uriel.Typology]) -> None:
    assert set(real) == {*MASAKHANER, *MASAKHANER2, "en", "sw"} and real["sw"].place == real["swa"].place
    assert [code for code, one in real.items() if not one.lineage] == ["twi"]
    for code, one in real.items():
        sizes = {kind: len(values) for kind, values in one.features.items()}
        assert sizes == {"syntactic": 103, "phonological": 28, "inventory": 158, "featural": 289}
        assert set(one.features["featural"].tolist()) == {0, 1}
        place = LANGUAGES[code].place
        assert place is not None and great_circle(one.place, place) < 1.2, code  # 1,000 km


def test_its_genealogy_agrees_with_the_projects_table(real: dict[str, uriel.Typology]) -> None:
    for names in (MASAKHANER, MASAKHANER2):
        ours, theirs = (
            [genetic_distance(of(a), of(b)) for i, a in enumerate(names) for b in names[:i] if "twi" not in (a, b)]
            for of in (lambda code: LANGUAGES[code].lineage, lambda code: real[code].lineage)
        )
        assert np.corrcoef(ours, theirs)[0, 1] > 0.85
    assert genetic_distance(real["xho"].lineage, real["zul"].lineage) == 0


def test_all_six_distances_are_features(real: dict[str, uriel.Typology]) -> None:
    known = {code: facts(code, typology=real[code]) for code in MASAKHANER}
    table = pairs.feature_table(known)
    kinds = ["genetic", "geographic", *uriel.PREFIXES]
    distances = table[[f"{kind}_distance" for kind in kinds]]
    assert distances.notna().all(axis=None) and (distances >= 0).all(axis=None)
    for kind, size in (("syntactic", 103), ("featural", 289)):
        a, b = (real[code].features[kind] for code in ("kin", "lug"))
        assert len(a) == size
        expected = 1 - np.sum(a * b) / math.sqrt(a.sum() * b.sum())
        assert table.loc[("kin", "lug"), f"{kind}_distance"] == pytest.approx(expected)
    matrix = pd.DataFrame(np.arange(100.0).reshape(10, 10), list(known), list(known))
    assert set(distances) < set(pairs.pairs(matrix, table).names)


# --- which distances a ranking uses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("languages", "target", "features", "lineages", "words"),
    [
        (["swa", "hau"], "deu", True, True, "Distances are from URIEL."),
        (["swa", "hau"], "eus", True, False, "Distances are from URIEL, except genetic ones: it has no family of eus."),
        (["swa", "q-a"], "deu", False, False, "Distances are not from URIEL, which lacks q-a."),
    ],
)
def test_distances_of_a_ranking_are_of_one_kind(
    languages: list[str], target: str, features: bool, lineages: bool, words: str
) -> None:
    aids, about = recommendation.aids_of(RankConfig(target=target, uriel=True), [*languages, target], None)
    assert about == words
    known = pairs.known_languages([*languages, target], {}, {}, aids=aids)
    assert {len(one.features) for one in known.values()} == {4 if features else 0}
    assert (known["swa"].lineage == LANGUAGES["swa"].lineage) != lineages
    assert (known["swa"].place == LANGUAGES["swa"].place) != features


def test_uriel_is_not_read_unless_it_is_asked_for() -> None:
    aids, about = recommendation.aids_of(RankConfig(target="swa"), ["swa", "hau"], None)
    assert aids == Aids() and about == ""
