"""Scripted conversations: what is counted as a remembered name, and what a guesser scores."""

import pytest

from hamner.evaluation.scripted import (
    NAMES,
    WHAT,
    WHO,
    Script,
    name_scripts,
    play,
    says,
    says_program,
    scripted_conversations,
    scripted_figures,
)


def test_each_name_is_told_twice_two_turns_before_the_question():
    scripts = name_scripts()
    assert [script.name for script in scripts] == [*NAMES, *NAMES]
    assert len({script.lines for script in scripts}) == 2 * len(NAMES)
    for script in scripts:
        told, between, asked = script.lines
        assert script.name in told and script.name not in between + asked and asked.endswith("?")


def test_a_conversation_holds_the_models_own_replies():
    read = []

    def answer(messages):
        read.append(list(messages))
        return f"reply {len(messages)}"

    talk = play(Script(("a", "b")), answer)
    assert talk == [("user", "a"), ("assistant", "reply 1"), ("user", "b"), ("assistant", "reply 3")]
    assert read == [talk[:1], talk[:3]]
    assert play(Script(("a", "b")), lambda messages: None) is None


@pytest.mark.parametrize(
    ("text", "is_said"), [("You are Nina.", True), ("nina!", True), ("Ninas", False), ("", False), ("N ina", False)]
)
def test_a_name_is_said_as_a_word(text, is_said):
    assert says(text, "Nina") is is_said


@pytest.mark.parametrize("text", ["I am a small language model.", "A computer program!", "I'm not a person.", "an AI"])
def test_a_program_says_so(text):
    assert says_program(text)


@pytest.mark.parametrize("text", ["I am a person.", "Said it.", "Robotics is fun", ""])
def test_who_does_not_say_so_is_none(text):
    assert not says_program(text)


def _figures(answer, others=("Hello.", "I am Hamner.")):
    return {f.name: f for f in scripted_figures(scripted_conversations(answer), list(others), "Hamner")}


def test_who_remembers_scores_one_and_who_says_every_name_is_no_better_than_guessing():
    def remembers(messages):
        return messages[0][1].rstrip(".").split()[-1]

    figures = _figures(remembers)
    name = figures["says the name told two turns ago"]
    assert (name.value, name.guess, name.count) == (1, 0, 20) and name.errors_above > 3
    name = _figures(lambda messages: " ".join(NAMES))["says the name told two turns ago"]
    assert name.value == name.guess == 1 and name.errors_above == 0


def test_a_guesser_is_one_who_says_it_to_other_prompts_too():
    figures = _figures(lambda messages: "I am Hamner, a program.")
    who, what = figures["says that it is Hamner"], figures["says that it is a program"]
    assert (who.value, who.guess, who.count) == (1, 0.5, len(WHO))
    assert (what.value, what.guess, what.count) == (1, 0, len(WHAT))


def test_what_does_not_fit_is_left_out():
    assert _figures(lambda messages: None) == {}
