"""The versions that were champion, as one readable text: ``1, 2, 3, back to 2``. Pure."""

from collections.abc import Sequence

BACK = "back to "
LONGEST = 4000
"""Characters; the oldest entries go first. MLflow keeps 5000 of a tag of a registered model."""


def appended(history: str, version: int | str, back: bool = False) -> str:
    """The history with one more entry, unless it ends there already."""
    entries = _entries(history)
    stack = champions_in(history)
    if not stack or stack[-1] != int(version):
        entries.append(f"{BACK if back else ''}{int(version)}")
    while len(", ".join(entries)) > LONGEST:
        entries.pop(0)
    return ", ".join(entries)


def champions_in(history: str) -> list[int]:
    """The versions that a rollback goes through, the present one last; what was rolled back is not among them."""
    stack: list[int] = []
    for entry in _entries(history):
        version = int(entry.removeprefix(BACK))
        if entry.startswith(BACK) and version in stack:
            while stack[-1] != version:
                stack.pop()
        else:
            stack.append(version)
    return stack


def previous(history: str, current: int, existing: Sequence[int]) -> int | None:
    """The champion before the ``current`` one, of those that exist; None where the history knows none."""
    stack = champions_in(history)
    if current in stack:
        stack = stack[: len(stack) - 1 - stack[::-1].index(current)]
    return next((version for version in reversed(stack) if version in existing and version != current), None)


def _entries(history: str) -> list[str]:
    return [entry for entry in history.split(", ") if entry]
