"""Files of entities counted by sentence."""

from collections.abc import Mapping

from nertransfer.scoring import sentence_counts
from nertransfer.scoring.scores import count, entities

Tags = list[list[str]]


def file_of(taggings: Mapping[tuple[str, str], tuple[Tags, Tags]]) -> bytes:
    return sentence_counts.to_bytes({where: count(entities(a), entities(b)) for where, (a, b) in taggings.items()})
