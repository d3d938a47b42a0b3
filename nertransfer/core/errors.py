"""The one exception that means "the input is wrong, not the program"."""


class InputError(ValueError):
    """Bad input: a file, a parameter, a start, a store.

    The message names what is wrong, where (file and line, or parameter) and what is
    allowed. Entry points print it without a stack trace and exit with status 2; where the
    ``parameter`` (and, of a list, the ``item``) came from a study file, they add file and line.
    """

    def __init__(self, message: str, parameter: str = "", item: str = "") -> None:
        super().__init__(message)
        self.parameter, self.item = parameter, item
