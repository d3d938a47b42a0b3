"""Tags of gold and prediction: drawn ones, and the published."""

import re
from pathlib import Path

from hypothesis import strategies as st

TAGS = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"])


def tag_lists(words: int) -> st.SearchStrategy[list[str]]:
    return st.lists(TAGS, min_size=words, max_size=words)


PAIRS = st.lists(st.integers(1, 8).flatmap(lambda n: st.tuples(tag_lists(n), tag_lists(n))), min_size=1, max_size=6)


def read_columns(path: Path) -> list[list[list[str]]]:
    """Sentences as lists of rows of columns; deliberately not the project's own reader."""
    blocks = re.split(r"\n[ \t]*\n", path.read_text(encoding="utf-8-sig"))
    return [[line.split(" ") for line in block.split("\n") if line.strip()] for block in blocks if block.strip()]


def published_results(shared_data: Path) -> list[tuple[Path, str]]:
    """Every folder of the sample with the target language whose test split it was scored on."""
    models = shared_data / "published_sample" / "src" / "runs" / "v10" / "models"
    own = [(p, p.name.split("_")[0]) for p in models.iterdir() if p.name != "v20"]
    zero_shot = [(p, p.name.split("_")[0]) for p in (models / "v20").iterdir()]
    return sorted(own + zero_shot)
