"""Scripted conversations: a name told two turns ago, who are you, person or program (multi-turn memory, identity).

In: a model that answers turn by turn. Out: figures, and the transcripts, for people to read. The user's lines are
fixed; the model's own replies stand between them, as in a real conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from hamner.config.special_tokens import Message
from hamner.evaluation.figures import Figure, share

SECTION = "scripted conversations"
MOST_TOKENS = 40  # of a reply
NAMES = ("Marta", "Jonas", "Amira", "Peter", "Lucy", "Omar", "Helen", "Ravi", "Nina", "George")
TOLD = ("Hello! My name is {name}.", "Hi there, I am {name}.")
BETWEEN = ("I made soup today.", "It is raining outside.", "I went for a walk.")
ASKED = ("Do you remember my name?", "What is my name?", "Who am I?")
WHO = ("Who are you?", "What is your name?", "What should I call you?", "Tell me who you are.", "Introduce yourself.")
WHAT = (
    "Are you a human?",
    "Are you a real person?",
    "Am I talking to a machine?",
    "Are you a computer?",
    "What are you?",
)
IS_PROGRAM = re.compile(
    r"\b(?:program|computer|machine|model|software|robot|bot|ai)\b|\bnot (?:a )?(?:person|human)", re.I
)

Answer = Callable[[Sequence[Message]], str | None]  # None where the chat is too long for the model


@dataclass(frozen=True)
class Script:
    """The user's lines of a conversation, and what the last reply should hold."""

    lines: tuple[str, ...]
    name: str = ""  # of the user, if it was told


def name_scripts() -> list[Script]:
    """A name, something else, and the question who the user is: each name twice."""
    ways = list(product(TOLD, BETWEEN, ASKED))
    count = 2 * len(NAMES)
    chosen = [ways[index * len(ways) // count] for index in range(count)]
    return [
        Script((told.format(name=name), between, asked), name)
        for name, (told, between, asked) in zip((*NAMES, *NAMES), chosen, strict=True)
    ]


def play(script: Script, answer: Answer) -> list[Message] | None:
    """The conversation, the model's replies included; None where one does not fit the model's context."""
    messages: list[Message] = []
    for line in script.lines:
        messages.append(("user", line))
        reply = answer(messages)
        if reply is None:
            return None
        messages.append(("assistant", reply))
    return messages


def says(text: str, word: str) -> bool:
    """Whether a text says a word, whatever its case; not as part of another."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, flags=re.I) is not None


def says_program(text: str) -> bool:
    """Whether a reply says that its speaker is a program, or no person."""
    return IS_PROGRAM.search(text) is not None


def scripted_conversations(answer: Answer) -> dict[str, list[tuple[Script, list[Message]]]]:
    """All scripts played, by what they are about; those that do not fit are left out."""
    scripts = {
        "name": name_scripts(),
        "who": [Script((line,)) for line in WHO],
        "what": [Script((line,)) for line in WHAT],
    }
    played = {key: [(script, play(script, answer)) for script in each] for key, each in scripts.items()}
    return {key: [(script, talk) for script, talk in each if talk is not None] for key, each in played.items()}


def scripted_figures(
    played: dict[str, list[tuple[Script, list[Message]]]], others: Sequence[str], friend: str
) -> Iterator[Figure]:
    """The figures. others: replies to other prompts, which say what a guesser says; friend: the model's own name.

    Guessing a name is saying one of NAMES that was not told.
    """
    named = [(script.name, talk[-1][1]) for script, talk in played["name"]]
    if named:
        wrong = [says(reply, other) for name, reply in named for other in NAMES if other != name]
        marks = [float(says(reply, name)) for name, reply in named]
        yield share(
            SECTION,
            "says the name told two turns ago",
            marks,
            "conversations",
            guess=sum(wrong) / len(wrong),
            clusters=[name for name, _ in named],
            note="guess: any one of the names not told",
        )
    tests: dict[str, tuple[str, Callable[[str], bool]]] = {
        "who": (f"says that it is {friend}", lambda text: says(text, friend)),
        "what": ("says that it is a program", says_program),
    }
    for key, (name, test) in tests.items():
        replies = [talk[-1][1] for _, talk in played[key]]
        if replies:
            guess = sum(map(test, others)) / len(others) if others else None
            marks = [float(test(reply)) for reply in replies]
            yield share(SECTION, name, marks, "questions", guess=guess, note="guess: its replies to other prompts")
