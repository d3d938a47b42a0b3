"""Category centres in the plane: PCA and metric MDS. Pure."""

import warnings
from dataclasses import dataclass

import numpy as np

SEED = 0
STARTS = 4
"""MDS is tried from so many random places; the least stress is kept."""


@dataclass(frozen=True)
class Projection:
    """Points in the plane [points, 2] by two methods.

    ``explained``: share of the variance on each of the two principal axes; ``stress``: Kruskal's stress-1 of the MDS
    (Kruskal 1964: 0.2 poor, 0.1 fair, 0.05 good).
    """

    pca: np.ndarray
    mds: np.ndarray
    explained: tuple[float, float]
    stress: float


def project(points: np.ndarray) -> Projection:
    """Project points [points, size], at least three of them and not all alike; raises ValueError otherwise."""
    from sklearn.decomposition import PCA  # slow to import, and needed only where something is embedded
    from sklearn.manifold import MDS

    points = np.asarray(points, np.float64)
    if len(points) < 3 or np.allclose(points, points[0]):
        raise ValueError("a projection needs three points, and two of them apart")
    fitted = PCA(n_components=2, svd_solver="full").fit(points)
    pca = _oriented(fitted.transform(points))
    wanted = np.linalg.norm(points[:, None] - points, axis=-1)
    scale = wanted.max()  # the method stops at an absolute change of stress
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = MDS(
            2, metric_mds=True, metric="precomputed", n_init=STARTS, init="random", random_state=SEED, max_iter=1000,
            normalized_stress=False,
        ).fit_transform(wanted / scale)  # fmt: skip
    mds = _turned(found * scale, pca)
    return Projection(pca, mds, tuple(map(float, fitted.explained_variance_ratio_)), stress(wanted, mds))  # type: ignore[arg-type]


def stress(distances: np.ndarray, placed: np.ndarray) -> float:
    """Kruskal's stress-1: distances [points, points] against those of the points as placed [points, 2]."""
    there = np.linalg.norm(placed[:, None] - placed, axis=-1)
    return float(np.sqrt(((distances - there) ** 2).sum() / (there**2).sum()))


def _oriented(points: np.ndarray) -> np.ndarray:
    """The sign of an axis is arbitrary: the point farthest out on it is at the positive end."""
    farthest = np.abs(points).argmax(axis=0)
    return points * np.sign(points[farthest, np.arange(points.shape[1])])


def _turned(points: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Points rotated and reflected to lie as near ``like`` as they can (Procrustes), so that two panels compare."""
    centred, other = points - points.mean(axis=0), like - like.mean(axis=0)
    u, _, v = np.linalg.svd(centred.T @ other)
    return centred @ u @ v
