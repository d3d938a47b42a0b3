"""Numbers of things in words. Knows nothing of ours."""


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"
