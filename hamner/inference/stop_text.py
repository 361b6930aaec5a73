"""Stop sequences: texts that end a reply and are no part of it, found across the pieces in which it comes."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Passes on a text that comes in pieces, up to the first stop sequence in it.

    What may be the beginning of a stop sequence is held back until the next piece tells.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """stops: none of them empty"""
        self.is_found = False
        self._stops, self._held = tuple(stops), ""

    def pass_on(self, piece: str) -> str:
        """What can be said of the text so far."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_found, self._held = True, ""
            return text[: min(places)]
        longest = min(len(text), max(map(len, self._stops), default=1) - 1)
        held = next((n for n in range(longest, 0, -1) if any(s.startswith(text[-n:]) for s in self._stops)), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, where the text ends without a stop sequence."""
        held, self._held = self._held, ""
        return held
