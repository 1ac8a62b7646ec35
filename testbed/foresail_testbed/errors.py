"""What goes wrong, told to the person who can mend it."""

import subprocess


class TestbedError(Exception):
    """A mistake or a lack outside this package; the message is a sentence that says what to do."""

    __test__ = False  # pytest would take the class for a test by its name


def explain(error: Exception) -> str:
    """Return an error's words, and of a command that failed or took too long its own as well."""
    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        return str(error)
    said = error.stderr or ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{error}: {text.strip()}".removesuffix(": ")
