"""One item of a synthetic task: what the model reads (`prompt`) and what it should say next (`answer`)."""

from typing import NamedTuple


class Example(NamedTuple):  # made by the million: a tuple takes a third of a frozen dataclass's time
    """`prompt` ends with a space where the answer follows one, so `text` is a plain concatenation."""

    task: str
    level: int
    prompt: str
    answer: str

    @property
    def text(self) -> str:
        """The one line a model reads."""
        return self.prompt + self.answer
