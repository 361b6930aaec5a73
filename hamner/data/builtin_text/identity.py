"""Identity conversations: what the friend says of itself, drawn from a small file of facts and templates.

Data in: a TOML file, identity.toml beside this one or one of your own. Data out: `conversation(rng)`, messages as
(role, content): a greeting in every third, then one to three questions about who the friend is.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, shortened
from hamner.config.special_tokens import Message
from hamner.config.toml_file import read_toml
from hamner.data.builtin_text import dialogue_turns
from hamner.data.builtin_text.phrasing import fill, finish, pick

GREETING_FRACTION = 0.33
MOST_EXCHANGES = 3
FIELD = re.compile(r"\{([^{}]*)\}")  # the name of a fact in a template
WAY_OUT = "write it as hamner/data/builtin_text/identity.toml is written"


@dataclass(frozen=True)
class Identity:
    """Who the friend is."""

    facts: dict[str, str]  # what {name} and the like stand for
    topics: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]  # templates of the questions, and of their replies

    @classmethod
    def load(cls, path: str = "") -> Identity:
        """The identity of a file; "": the project's own. Raises BadInput with everything that is wrong with it."""
        place = Path(path).expanduser() if path else Path(str(resources.files(__package__) / "identity.toml"))
        if not place.is_file():
            raise BadInput(f"finetuning.identity_file: there is no file {place}; give a TOML file, or leave it out")
        document = read_toml(place)
        identity, problems = _read(document)
        if not problems:
            problems = identity.problems()
        if problems:
            raise BadInput([f"{place}: {problem}" for problem in problems])
        return identity

    def problems(self) -> list[str]:
        """What is wrong with the templates: brackets that do not close, names that [facts] does not have."""
        found, rng = [], random.Random(0)
        for number, topic in enumerate(self.topics, 1):
            for template in (template for side in topic for template in side):
                unknown = [field for field in FIELD.findall(template) if field not in self.facts]
                if unknown:  # Python's formats can do more than name a fact, such as fill the memory: {name:>999999999}
                    known = ", ".join(self.facts) or "nothing"
                    found.append(f"topic {number}: [facts] has {known}, not '{unknown[0]}', which '{template}' names")
                    continue
                try:
                    for _ in range(20):  # each reading picks other alternatives
                        fill(rng, template, self.facts)
                except RecursionError:
                    found.append(f"topic {number}: '{shortened(template)}' is nested too deeply")
                except (ValueError, LookupError) as error:
                    found.append(f"topic {number}: '{template}' cannot be read: {error}")
        return found

    def conversation(self, rng: random.Random) -> list[Message]:
        """One short conversation."""
        exchanges = [
            (self._text(rng, ask), finish(self._text(rng, reply)))
            for ask, reply in rng.sample(self.topics, min(len(self.topics), rng.randint(1, MOST_EXCHANGES)))
        ]
        if rng.random() < GREETING_FRACTION:
            greeting = pick(rng, dialogue_turns.GREETINGS).rstrip(".!?")
            exchanges[0] = (f"{greeting}! {exchanges[0][0]}", exchanges[0][1])
        return [message for said, reply in exchanges for message in (("user", said), ("assistant", reply))]

    def _text(self, rng: random.Random, templates: tuple[str, ...]) -> str:
        """One reading of one of the templates; an alternative that is empty leaves no second space."""
        return " ".join(fill(rng, pick(rng, templates), self.facts).split())


def _read(document: dict[str, Any]) -> tuple[Identity, list[str]]:
    """The identity that a TOML document holds, and what is wrong with its shape."""
    facts, topics = document.get("facts", {}), document.get("topic", [])
    problems = [f"unknown key '{key}'; it has [facts] and [[topic]]" for key in document.keys() - {"facts", "topic"}]
    if not (isinstance(facts, dict) and all(isinstance(value, str) for value in facts.values())):
        problems.append(f"[facts] must be a table of texts; {WAY_OUT}")
    names = facts if isinstance(facts, dict) else ()
    problems += [f"[facts]: '{name}' is not one word of letters" for name in names if not re.fullmatch(r"[\w-]+", name)]
    if not (isinstance(topics, list) and topics and all(map(_is_topic, topics))):
        problems.append(f"[[topic]] must each have lists of texts, ask and reply, and nothing else; {WAY_OUT}")
    if problems:
        return Identity({}, ()), problems
    return Identity(facts, tuple((tuple(topic["ask"]), tuple(topic["reply"])) for topic in topics)), []


def _is_topic(topic: Any) -> bool:
    return isinstance(topic, dict) and topic.keys() == {"ask", "reply"} and all(map(_is_texts, topic.values()))


def _is_texts(texts: Any) -> bool:
    return isinstance(texts, list) and bool(texts) and all(isinstance(text, str) and text for text in texts)
