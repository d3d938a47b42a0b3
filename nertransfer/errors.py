"""The one exception that means "the input is wrong, not the program"."""


class InputError(ValueError):
    """Bad input: a file, a parameter, a start, a store.

    The message names what is wrong, where (file and line, or parameter) and what is
    allowed. Entry points print it without a stack trace and exit with status 2.
    """
