"""The errors an operator reads: each is one sentence that says what to do."""


class HotlineError(Exception):
    """Something the operator can mend; the message says what is wrong and what to do.

    The command line prints it as one line and exits with status 2.
    """


class ConfigError(HotlineError):
    """A configuration file that cannot be used: names the file, the line and a hint."""

    def __init__(self, file: object, message: str, *, line: int | None = None, hint: str = ""):
        where = f"{file}:{line}" if line else f"{file}"
        super().__init__(f"{where}: {message}" + (f" ({hint})" if hint else ""))
        self.file, self.line, self.hint = str(file), line, hint
