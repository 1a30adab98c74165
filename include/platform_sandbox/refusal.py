"""A refusal: a result code of the document, with the name of the field that caused it."""


class Refusal(Exception):
    """The platform says no. `code` is of 3.2.12; `detail` names a field or a rule, never a value."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
