"""Are several source languages together better than the best of them? Pure: cubes in, a frame out."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.matrices import Cube, over_seeds
from nertransfer.grid import is_several, is_zero_shot, languages_of
from nertransfer.intervals import interval

COLUMNS = [
    "start", "source", "target", "setting", "f1", "best_part", "best_part_f1", "difference", "low", "high", "n_seeds",
    "parts_missing",
]  # fmt: skip
ZERO_SHOT, AMONG = "zero-shot", "target among the sources"


def compare(cubes: Mapping[str, Cube]) -> pd.DataFrame:
    """Every source of several languages less the best of its languages on each target, in points of F1 (percent).

    The best is the one with the highest mean over its seeds on that very target, so it has what luck there is, and the
    comparison is rather hard on the several. ``difference`` is the mean over the seeds that both have; its 95 %
    interval is Student's t of the differences seed by seed, NaN for fewer than two. ``parts_missing`` counts the
    languages without any seed as a source on that target, which may have been better.
    """
    rows = []
    for start, cube in cubes.items():
        mean = over_seeds(cube.values)[0]
        for i, source in enumerate(cube.sources):
            languages = languages_of(source)
            parts = [cube.sources.index(name) for name in languages if name in cube.sources]
            if not is_several(source) or not parts:
                continue
            for j, target in enumerate(cube.targets):
                rivals = [part for part in parts if not np.isnan(mean[part, j])]
                if not rivals or np.isnan(mean[i, j]):
                    continue
                best = max(rivals, key=lambda part: mean[part, j])
                apart = cube.values[:, i, j] - cube.values[:, best, j]
                apart = apart[~np.isnan(apart)]
                found = (*interval(apart, -100, 100), len(apart))
                setting = ZERO_SHOT if is_zero_shot(source, target) else AMONG
                missing = len(languages) - len(rivals)
                rows.append(
                    (start, source, target, setting, mean[i, j], cube.sources[best], mean[best, j], *found, missing)
                )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)
