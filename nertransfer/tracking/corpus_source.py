"""Where the datasets of runs come from, in MLflow's terms: ``mlflow.data.get_source(input).load()`` reads them again.

MLflow finds it as a plugin (``mlflow.dataset_source`` in pyproject.toml) and imports it with itself. So nothing is
imported here, not even MLflow's own class of sources: that would import this module once more, before it is there.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nertransfer.corpora.corpus import Split


@dataclass(frozen=True)
class CorpusSource:
    """One split of a corpus, with the methods of MLflow's ``DatasetSource``.

    ``data``: a folder's whole path, or a name such as masakhaner; empty on older runs. ``sha256``: of the file's bytes.
    """

    language: str
    split: str
    sha256: str
    data: str = ""

    @staticmethod
    def _get_source_type() -> str:
        return "conll"

    def load(self, data: str = "") -> "Split":
        """The split's sentences, read from ``data``, or from where they were, and downloaded or generated if need be.

        Raises InputError where there are none, or other ones than the run had.
        """
        from nertransfer.core.errors import InputError
        from nertransfer.core.options import DataOptions
        from nertransfer.corpora import corpus

        place = data or self.data
        options = DataOptions(place, languages=(self.language,), allow_empty_words=True)
        split = corpus.load(options)[self.language].splits[self.split]
        if split.digest != self.sha256:
            raise InputError(
                f"{self.language}/{self.split}.txt of {place} has another SHA-256 ({split.digest}) than the file that "
                f"the run had ({self.sha256})", "data",
            )  # fmt: skip
        return split

    def to_dict(self) -> dict[str, Any]:
        """As MLflow stores it."""
        return asdict(self)

    def to_json(self) -> str:
        """The same, with paths as people read them."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "CorpusSource":
        """What `to_dict` gave."""
        return cls(**source_dict)

    @classmethod
    def from_json(cls, source_json: str) -> "CorpusSource":
        """What `to_json` gave."""
        return cls.from_dict(json.loads(source_json))

    @staticmethod
    def _can_resolve(_raw_source: Any) -> bool:
        return False
