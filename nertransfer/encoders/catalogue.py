"""The starts that go by a language's code, and whether a run's start is on the hub. Loads nothing."""

import re
from collections.abc import Mapping

from nertransfer.core import schema

_DAVLAN = "Davlan/xlm-roberta-base-finetuned-"
CATALOGUE = {
    "base": "xlm-roberta-base",
    "amh": _DAVLAN + "amharic",
    "hau": _DAVLAN + "hausa",
    "ibo": _DAVLAN + "igbo",
    "kin": _DAVLAN + "kinyarwanda",
    "lug": _DAVLAN + "luganda",
    "luo": _DAVLAN + "luo",
    "pcm": _DAVLAN + "naija",
    "swa": _DAVLAN + "swahili",
    "wol": _DAVLAN + "wolof",
    "yor": _DAVLAN + "yoruba",
}
"""xlm-roberta-base (Conneau et al. 2020) and its continuations on one language (Alabi et al. 2022). An entry is a hub
id, or a `PINNED` one; without a commit, the one that main has on the day is taken and recorded."""
PINNED = re.compile(r"([\w.-]+/)?[\w.-]+@[0-9a-f]{40}")
"""A hub id with a commit."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_on_hub(tags: Mapping[str, str]) -> bool:
    """Whether the place that a run's start was loaded from is a hub id, by the run's tags; a folder can look like one.

    It is one where the hub gave a revision, where it is in the `CATALOGUE`, and in imported results, which name their
    starts by hub ids (a path among them is none).
    """
    location = tags.get(schema.START_LOCATION, "")
    if tags.get(schema.START_REVISION) or location in {place.partition("@")[0] for place in CATALOGUE.values()}:
        return bool(location)
    return schema.IMPORTED in tags and HUB_ID.fullmatch(location) is not None
