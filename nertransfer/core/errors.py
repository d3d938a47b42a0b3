"""The one exception that means "the input is wrong, not the program", and any exception in one line."""

LONGEST = 400
"""Characters of what a library says, at most, in a line."""


class InputError(ValueError):
    """Bad input: a file, a parameter, a start, a store.

    The message names what is wrong, where (file and line, or parameter) and what is
    allowed. Entry points print it without a stack trace and exit with status 2; where the
    ``parameter`` (and, of a list, the ``item``) came from a study file, they add file and line.
    """

    def __init__(self, message: str, parameter: str = "", item: str = "") -> None:
        super().__init__(message)
        self.parameter, self.item = parameter, item


def in_one_line(error: BaseException) -> str:
    """An exception's type, and the first line of what it says."""
    kind = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        files = " -> ".join(str(one) for one in (error.filename, error.filename2) if one is not None)
        return f"{kind}: {files}: {error.strerror}" if files else f"{kind}: {error.strerror}"
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{kind}: {line if len(line) <= LONGEST else line[:LONGEST] + '...'}" if line else kind
