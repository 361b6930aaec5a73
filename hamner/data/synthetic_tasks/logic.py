"""Inference: `If A then B. A. Therefore ` answer `B.`, where the conclusion is the last thing that follows.

| level | rules                                                                                          |
|-------|------------------------------------------------------------------------------------------------|
| 1     | one                                                                                            |
| 2     | one, half of the time with an idle fact beside it                                              |
| 3     | two, in any order, of which one fires                                                          |
| 4     | 75 % a chain A -> B -> C from A; else one step: the chain entered at B, or as level 3          |
| 5     | as level 4 with one more rule that does not fire                                               |

A clause is a subject and what it does, and comes from one of three pools: a person starts something, an
animal reacts, a person answers. Rules only lead onwards (start -> reaction -> answer), so chains make
everyday sense, and every clause reads the same as a condition, a fact or a conclusion. The rule that does not
fire shares its subject or its action with a true clause half of the time, so matching single words is not
enough. Nearly five million distinct rules.
"""

import random
from collections.abc import Callable

from hamner.data.synthetic_tasks.example import Example
from hamner.data.synthetic_tasks.words import FIRST_NAMES, each_word

Clause = tuple[str, str]  # subject, action; joined by a space
Rule = tuple[Clause, Clause]

_ONE_STEP_FRACTION = 0.25

_PEOPLE = (
    *FIRST_NAMES[::2],
    *(
        f"the {who}"
        for who in each_word("baker miller teacher farmer postman gardener sailor cook nurse tailor painter")
    ),
)
_ANIMALS = tuple(
    f"the {colour}{animal}"
    for colour in ("", "black ", "brown ", "old ", "young ", "grey ", "white ")
    for animal in each_word("dog cat goat horse donkey parrot rooster hen goose sheep pony pig")
)


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


_STARTS = _phrases(
    """rings the bell; opens the gate; lights the stove; drops a plate; slams the door; starts the engine;
    whistles a tune; shakes the apple tree; beats the drum; comes home early; waves a flag; spills the milk;
    blows the horn; cuts the grass; brings fresh hay; turns on the radio; knocks on the window; rolls a barrel
    down the hill; carries a bucket of oats; steps on a twig; calls from the hill; unpacks the fish; chops the
    firewood; sweeps the yard"""
)
_REACTIONS = _phrases(
    """wakes up; runs to the door; hides under the cart; jumps over the fence; makes a lot of noise; follows
    the cart; looks out of the barn; leaves the kitchen; walks into the yard; chases a mouse; knocks over the
    basket; stops eating; comes to the trough; gets out of the shed; stands by the well; runs down the lane;
    eats the lettuce; walks past the window"""
)
_ANSWERS = _phrases(
    """laughs out loud; comes outside; fetches a rope; puts down the book; closes the shutters; calls the
    children; gets up from the chair; writes a note; brings a bowl of water; locks the barn; runs across the
    field; makes a pot of tea; asks what happened; repairs the fence; goes to the market; picks up a lantern;
    tells the neighbours; counts the chickens; hurries home; forgets about lunch"""
)


def generate(rng: random.Random, level: int) -> Example:
    start, reaction, answer = _start(rng), _reaction(rng), _answer(rng)
    rule = rng.choice(((start, reaction), (start, answer), (reaction, answer)))
    if level <= 2:
        return _one_rule(rng, level, rule)
    draw = rng.random()
    if level == 3 or draw < _ONE_STEP_FRACTION / 2:
        return _one_of_the_rules(rng, level, rule)
    entry = reaction if draw < _ONE_STEP_FRACTION else start
    rules = [(start, reaction), (reaction, answer)]
    if level == 5:
        rules.append(_idle_rule(rng, [start, reaction, answer]))
    rng.shuffle(rules)
    return _example(level, rules, [entry], answer)


def _one_rule(rng: random.Random, level: int, rule: Rule) -> Example:
    facts = [rule[0]]
    if level == 2 and rng.random() < 0.5:
        facts.append(_other(rng, list(rule)))
        rng.shuffle(facts)
    return _example(level, [rule], facts, rule[1])


def _one_of_the_rules(rng: random.Random, level: int, rule: Rule) -> Example:
    """`rule` fires; beside it stands one rule (at level 5: two) that does not."""
    rules, said = [rule], list(rule)
    for _ in range(2 if level == 5 else 1):
        rules.append(_idle_rule(rng, said))
        said += rules[-1]
    rng.shuffle(rules)
    return _example(level, rules, [rule[0]], rule[1])


def _idle_rule(rng: random.Random, said: list[Clause]) -> Rule:
    """A rule whose clauses are none of `said`; half of the time its condition resembles one of them."""
    condition = _other(rng, said)
    maker = _answer if condition[1] in _REACTIONS else rng.choice((_reaction, _answer))
    return condition, _new(rng, maker, [*said, condition])


def _other(rng: random.Random, said: list[Clause]) -> Clause:
    if rng.random() < 0.5:
        return _new(rng, rng.choice((_start, _reaction)), said)
    subject, action = said[0]
    if rng.random() < 0.5:
        return _new(rng, lambda rng: (subject, _same_kind_of_action(rng, action)), said)
    same_subjects = _ANIMALS if action in _REACTIONS else _PEOPLE
    return _new(rng, lambda rng: (rng.choice(same_subjects), action), said)


def _same_kind_of_action(rng: random.Random, action: str) -> str:
    return rng.choice(next(pool for pool in (_STARTS, _REACTIONS, _ANSWERS) if action in pool))


def _new(rng: random.Random, make: Callable[[random.Random], Clause], said: list[Clause]) -> Clause:
    while (clause := make(rng)) in said:
        pass
    return clause


def _start(rng: random.Random) -> Clause:
    return rng.choice(_PEOPLE), rng.choice(_STARTS)


def _reaction(rng: random.Random) -> Clause:
    return rng.choice(_ANIMALS), rng.choice(_REACTIONS)


def _answer(rng: random.Random) -> Clause:
    return rng.choice(_PEOPLE), rng.choice(_ANSWERS)


def _example(level: int, rules: list[Rule], facts: list[Clause], conclusion: Clause) -> Example:
    sentences = [f"If {' '.join(condition)} then {' '.join(result)}." for condition, result in rules]
    sentences += [_sentence(fact) for fact in facts]
    return Example("logic", level, f"{' '.join(sentences)} Therefore ", f"{' '.join(conclusion)}.")


def _sentence(clause: Clause) -> str:
    text = " ".join(clause)
    return f"{text[0].upper()}{text[1:]}."
