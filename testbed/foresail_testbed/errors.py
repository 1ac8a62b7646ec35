"""What goes wrong, told to the person who can mend it."""


class TestbedError(Exception):
    """A mistake or a lack outside this package; the message is a sentence that says what to do."""

    __test__ = False  # pytest would take the class for a test by its name
