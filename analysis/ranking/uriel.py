"""What URIEL (Littell et al. 2017) says of languages by ISO 639-3 code, where the extra ``uriel`` is installed.

Only the data files of lang2vec 1.1.2 are read, arrays without pickles. None of its code runs, for that needs
pkg_resources, which setuptools no longer has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from nertransfer.core.errors import InputError
from nertransfer.core.files import installing
from nertransfer.corpora.languages import LANGUAGES

PREFIXES = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_", "featural": ""}
"""How the names of the features of a kind begin; ``featural`` stands for all of them."""


@dataclass(frozen=True)
class Typology:
    """``lineage``: groups of languages, the widest first; empty where URIEL has none. ``place``: latitude (north) and
    longitude (east) in degrees. ``features``: by kind (`PREFIXES`) a vector of 0 and 1; what no source says is
    predicted from the nearest languages by URIEL itself (its "knn" vectors)."""

    lineage: tuple[str, ...]
    place: tuple[float, float]
    features: dict[str, np.ndarray]


def read(codes: Sequence[str]) -> dict[str, Typology]:
    """By code (of two letters, too), without the languages that URIEL lacks. Raises InputError where its files are not
    installed."""
    try:
        folder = Path(str(distribution("lang2vec").locate_file("lang2vec/data")))
    except PackageNotFoundError:
        raise InputError(f"uriel=true needs the files of lang2vec: {installing('uriel')}", "uriel") from None
    names, features = _rows(folder / "feature_predictions.npz", codes)
    if not features:
        return {}
    groups, member = _rows(folder / "family_features.npz", codes)
    points, apart = _rows(folder / "geocoord_features.npz", codes)
    return {
        code: Typology(
            tuple(groups[member[code] > 0].tolist()),  # its columns are in that order
            _place(points, apart[code]),
            {kind: values[np.char.startswith(names, prefix)] for kind, prefix in PREFIXES.items()},
        )
        for code, values in features.items()
    }


def _rows(path: Path, codes: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Names of the columns, and the row of every language that is there."""
    with np.load(path, allow_pickle=False) as file:
        places = {code: i for i, code in enumerate(file["langs"].tolist())}
        iso = {code: LANGUAGES[code].code if code in LANGUAGES else code for code in codes}
        there = [code for code in iso if iso[code] in places]
        data = file["data"] if there else np.empty(0)
        return file["feats"], {code: data[places[iso[code]], :, 0] for code in there}


def _place(points: np.ndarray, apart: np.ndarray) -> tuple[float, float]:
    """Where a language lies whose great circle distances from fixed points are given.

    ``points`` (points,) by name, such as GC_-83_42 for latitude -83 and longitude 42; ``apart`` (points,) as shares of
    half the equator. The cosine of a distance is the scalar product of the two unit vectors: linear equations.
    """
    latitude, longitude = np.radians([[float(part) for part in name.split("_")[1:]] for name in points.tolist()]).T
    units = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    x, y, z = np.linalg.lstsq(units, np.cos(np.pi * apart.astype(float)), rcond=None)[0]
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(np.degrees(np.arctan2(y, x)))
