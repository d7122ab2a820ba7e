"""What is wrong with the user's input, as opposed to what is wrong with this code."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that cannot be used; the message says which file, what was found, what was expected and what to do.

    The command line shows it as one line without a traceback.
    """
