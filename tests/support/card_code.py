"""Python that a model card shows."""

import re


def python_of(card: str) -> list[str]:
    """The snippets of a card."""
    return re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
