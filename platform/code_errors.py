"""Errors of code: what a program raises that nobody foresaw, and that trying again would not mend.

What the machine ran out of is none: that may be better the next time.
"""

import traceback

MOST_LETTERS = 10_000  # of a traceback


def of_machine(error: Exception) -> bool:
    """Whether the same code may do better another time."""
    name, words = type(error).__name__, str(error)
    return (
        isinstance(error, MemoryError | OSError)
        or name == "OutOfMemoryError"  # torch's, which is a RuntimeError
        or (isinstance(error, RuntimeError) and "allocate memory" in words)
    )


def told(error: Exception) -> str:
    """Its traceback."""
    return "".join(traceback.format_exception(error))[-MOST_LETTERS:].rstrip()
