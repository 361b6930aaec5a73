"""Every answer is derived again from the prompt's text alone, by other means than the generator's."""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hamner.data.synthetic_tasks import LEVELS, TASKS, Draws, Example, brackets, context_recall, generate
from hamner.data.synthetic_tasks.texts import generate_texts
from hamner.data.synthetic_tasks.words import DESCRIBING, FIRST_NAMES, NOUNS

EVERY_TASK_AND_LEVEL = [(task, level) for task in TASKS for level in LEVELS]
SAMPLE = 20_000


def examples(task: str, level: int, count: int, seed: int = 1) -> list[Example]:
    rng = Draws(f"{task} {level} {seed}")  # what training draws with
    return [generate(rng, level, task) for _ in range(count)]


def numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


# --- solvers: prompt in, answer out ---


def solve_arithmetic(prompt: str) -> str:
    match = re.fullmatch(r"Calculate: ([\d +*-]+) = ", prompt)
    assert match, prompt
    return str(eval(match.group(1)))


def solve_counting(prompt: str) -> str:
    if match := re.fullmatch(r"Count the items: ([a-z, ]+)\. Answer: ", prompt):
        return str(match.group(1).count(",") + 1)
    match = re.fullmatch(r"Count '([a-z]+)' in: ([a-z, ]+)\. Answer: ", prompt)
    assert match, prompt
    return str(len(re.findall(rf"\b{match.group(1)}\b", match.group(2))))


def solve_sorting(prompt: str) -> str:
    match = re.fullmatch(r"Sort( descending)?: ([\d ]+) -> ", prompt)
    assert match, prompt
    rest, result = numbers_in(match.group(2)), []
    while rest:
        smallest = min(rest)
        rest.remove(smallest)
        result.append(str(smallest))
    return " ".join(reversed(result) if match.group(1) else result)


def solve_brackets(prompt: str) -> str:
    match = re.fullmatch(r"Brackets: (.+) Valid: ", prompt)
    assert match, prompt
    rest = re.sub(r"[a-z ]", "", match.group(1))
    shorter = None
    while rest != shorter:
        shorter, rest = rest, re.sub(r"\(\)|\[\]|\{\}|<>", "", rest)
    return "no" if rest else "yes"


def solve_listops(prompt: str) -> str:
    operations: dict[str, Callable[[list[int]], int]] = {"MAX": max, "MIN": min, "SUM": sum}
    text = prompt.removesuffix(" = ")
    while innermost := re.search(r"\[(MAX|MIN|SUM)((?: \d+){2,})\]", text):
        value = operations[innermost.group(1)](numbers_in(innermost.group(2)))
        text = text.replace(innermost.group(), str(value), 1)
    return text


def solve_copy_repeat(prompt: str) -> str:
    match = re.fullmatch(r"Repeat (\d+) times: ([a-z ]+) -> ", prompt)
    assert match, prompt
    text = match.group(2)
    separator = " | " if " " in text else " "
    return ((separator + text) * int(match.group(1))).removeprefix(separator)


def solve_context_recall(prompt: str) -> str:
    *facts, question = re.findall(r"[^.?]+[.?]", prompt.strip())
    (name,) = set(re.findall(r"\b[A-Z][a-z]+\b", question)) - {"What", "Tell"}
    (fact,) = [fact.strip() for fact in facts if fact.split()[0] == name]
    kind = re.fullmatch(r" What does [A-Z][a-z]+ (have|like)\?", question)
    assert not kind or fact.split()[1] == {"have": "has", "like": "likes"}[kind.group(1)], prompt
    return fact


def solve_logic(prompt: str) -> str:
    rules: dict[str, str] = {}
    known: list[str] = []
    assert prompt.endswith(" Therefore ")
    for sentence in prompt.removesuffix(" Therefore ").removesuffix(".").split(". "):
        if match := re.fullmatch(r"If (.+) then (.+)", sentence):
            assert match.group(1) not in rules
            rules[match.group(1)] = match.group(2)
        else:
            known.append(re.sub("^The ", "the ", sentence))
    conclusions = [fact for fact in known if fact in rules]
    assert len(conclusions) == 1, f"exactly one fact starts something: {prompt}"
    conclusion = conclusions[0]
    while conclusion in rules:
        conclusion = rules[conclusion]
    return f"{conclusion}."


def solve_comparison(prompt: str) -> str:
    if match := re.fullmatch(r"Which is (bigger|smaller): (\S+) or (\S+)\? ", prompt):
        word, sides = match.group(1), [match.group(2), match.group(3)]
    else:
        match = re.fullmatch(r"Find the (largest|smallest): ([\d, ]+)\. Answer: ", prompt)
        assert match, prompt
        word, sides = match.group(1), match.group(2).split(", ")
    in_order = sorted(sides, key=lambda side: eval(side))
    if eval(in_order[0]) == eval(in_order[-1]):
        return "equal"
    return in_order[-1] if word in ("bigger", "largest") else in_order[0]


SOLVERS = {
    "arithmetic": solve_arithmetic,
    "counting": solve_counting,
    "sorting": solve_sorting,
    "brackets": solve_brackets,
    "listops": solve_listops,
    "copy_repeat": solve_copy_repeat,
    "context_recall": solve_context_recall,
    "logic": solve_logic,
    "comparison": solve_comparison,
}


def check_answers(task: str, level: int, count: int) -> None:
    for example in examples(task, level, count):
        assert (example.task, example.level) == (task, level)
        assert example.answer == SOLVERS[task](example.prompt), example.text
        assert example.text == example.prompt + example.answer
        assert example.text == example.text.strip() and "\n" not in example.text and "  " not in example.text


@pytest.mark.parametrize(("task", "level"), EVERY_TASK_AND_LEVEL)
def test_answers_follow_from_the_prompt(task: str, level: int) -> None:
    check_answers(task, level, 300)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "level"), EVERY_TASK_AND_LEVEL)
def test_answers_follow_from_the_prompt_at_length(task: str, level: int) -> None:
    check_answers(task, level, 50_000)


# --- balance ---


@pytest.mark.parametrize("level", LEVELS)
def test_brackets_are_valid_half_of_the_time(level: int) -> None:
    yes = sum(example.answer == "yes" for example in examples("brackets", level, 4000))
    assert 0.45 < yes / 4000 < 0.55


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("form", ["Count the", "Count '"])
def test_every_count_is_about_as_likely(level: int, form: str) -> None:
    answers = Counter(e.answer for e in examples("counting", level, 8000) if e.prompt.startswith(form))
    expected = {"Count the": 2 * level + 1, "Count '": level + 2 if level >= 3 else 0}[form]
    assert len(answers) == expected
    assert not expected or is_uniform(answers, expected)


def is_uniform(counts: Counter[Any], kinds: int) -> bool:
    """Chi-squared, four standard deviations."""
    expected, freedom = counts.total() / kinds, kinds - 1
    distance = sum((count - expected) ** 2 for count in counts.values()) / expected
    distance += (kinds - len(counts)) * expected
    return distance < freedom + 4 * (2 * freedom) ** 0.5 + 4


@pytest.mark.parametrize("level", LEVELS)
def test_every_number_of_copies_and_every_place_asked_for_is_as_likely(level: int) -> None:
    times = Counter(example.prompt.split()[1] for example in examples("copy_repeat", level, 6000))
    assert is_uniform(times, level + 1)
    places: dict[int, Counter[int]] = {}
    for example in examples("context_recall", level, 6000):
        facts = re.findall(r"[A-Z][^.?]+\.", example.prompt)
        facts = facts[: example.prompt.count(".") - example.prompt.count("Tell me about")]
        places.setdefault(len(facts), Counter())[facts.index(example.answer)] += 1
    assert set(places) == set(range(2, 2 * level + 3))
    assert all(is_uniform(counts, facts) for facts, counts in places.items())


@pytest.mark.parametrize("level", LEVELS)
def test_comparisons_favour_no_place(level: int) -> None:
    places: Counter[tuple[int, int]] = Counter()
    for example in examples("comparison", level, 6000):
        sides = re.findall(r"[\d+*]+", example.prompt)
        if example.answer != "equal":
            places[len(sides), sides.index(example.answer)] += 1
    for sides_count in {count for count, _ in places}:
        of_this_size = [number for (count, _), number in places.items() if count == sides_count]
        assert len(of_this_size) == sides_count
        for number in of_this_size:
            assert number / sum(of_this_size) == pytest.approx(1 / sides_count, abs=0.05)


def test_sums_and_products_win_equally_often() -> None:
    kinds = Counter(
        "+*".find(re.sub(r"\d", "", e.answer)) for e in examples("comparison", 5, 6000) if e.answer != "equal"
    )
    assert kinds[0] / kinds.total() == pytest.approx(0.5, abs=0.05)
    assert kinds.total() / 6000 == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize(("level", "low", "high"), [(1, 1, 1), (3, 1, 1), (4, 0.15, 0.35), (5, 0.15, 0.35)])
def test_one_step_inferences_remain_at_every_level(level: int, low: float, high: float) -> None:
    def is_one_step(example: Example) -> bool:
        facts = re.findall(r"\. ((?!If )[^.]+)", example.prompt.removesuffix("Therefore "))
        return any(f"if {fact} then {example.answer}".lower() in example.prompt.lower() for fact in facts)

    fraction = sum(map(is_one_step, examples("logic", level, 2000))) / 2000
    assert low <= fraction <= high


# --- spaces, determinism, errors ---

# All there are, where they are few: the table of hamner/synthetic_tasks.
EXACTLY = {("arithmetic", 1): 200, ("arithmetic", 2): 800, ("arithmetic", 3): 30_000, ("comparison", 1): 10_100}


@pytest.mark.parametrize(("task", "level"), EXACTLY)
def test_small_spaces_are_as_large_as_is_said(task: str, level: int) -> None:
    rng, count = Draws(0), EXACTLY[task, level]
    assert len({generate(rng, level, task).text for _ in range(20 * count)}) == count


@pytest.mark.slow
@pytest.mark.parametrize(("task", "level"), EVERY_TASK_AND_LEVEL)
def test_distinct_items_are_at_least_as_many_as_promised(task: str, level: int) -> None:
    rng = random.Random(0)
    promised = EXACTLY.get((task, level), 10_000 if level < 3 else 100_000)
    seen: set[str] = set()
    for _ in range(20 * promised):
        seen.add(generate(rng, level, task).text)
        if len(seen) >= promised:
            break
    assert len(seen) >= promised


# What 20,000 draws from 1e4 (levels 1, 2) or 1e5 equally likely items would show, minus noise.
DISTINCT_AT_LEAST = {1: 8_500, 2: 8_500, 3: 18_000, 4: 18_000, 5: 18_000}
ALL_THERE_IS = EXACTLY | {("arithmetic", 3): 14_000, ("comparison", 1): 8_500}


@pytest.mark.parametrize(("task", "level"), EVERY_TASK_AND_LEVEL)
def test_items_are_too_many_to_memorise(task: str, level: int) -> None:
    distinct = len({example.text for example in examples(task, level, SAMPLE)})
    assert distinct >= ALL_THERE_IS.get((task, level), DISTINCT_AT_LEAST[level])


@pytest.mark.parametrize("level", LEVELS)
def test_same_seed_same_items(level: int) -> None:
    def draw(seed: int) -> list[Example]:
        rng = random.Random(seed)
        return [generate(rng, level) for _ in range(200)]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_tasks_are_drawn_uniformly() -> None:
    rng = random.Random(0)
    drawn = Counter(generate(rng, 2).task for _ in range(9000))
    assert set(drawn) == set(TASKS)
    assert all(count == pytest.approx(1000, rel=0.15) for count in drawn.values())


def test_texts_are_of_the_levels_asked_for_of_every_task_and_in_no_order() -> None:
    texts = generate_texts(Draws(0), (0.5, 0, 0, 0, 0.5), 9000)
    assert len(texts) == 9000
    sums = [text for text in texts if text.startswith("Calculate: ")]
    assert len(sums) == pytest.approx(1000, rel=0.1)
    assert sum(len(text.split()) == 8 for text in sums) == pytest.approx(500, rel=0.15)  # A + B + C = D
    assert sum(text.startswith("Calculate: ") for text in texts[:4500]) == pytest.approx(len(sums) / 2, rel=0.15)
    assert sum(text.startswith("If ") for text in texts) == pytest.approx(1000, rel=0.1)
    assert texts == generate_texts(Draws(0), (0.5, 0, 0, 0, 0.5), 9000) != generate_texts(Draws(1), (0.5,) * 2, 9000)


def _spread(counts: Counter[Any], kinds: int) -> float:
    """Chi squared over its degrees of freedom: about 1 where all kinds are equally likely."""
    expected = counts.total() / kinds
    assert len(counts) == kinds
    return sum((count - expected) ** 2 / expected for count in counts.values()) / (kinds - 1)


@pytest.mark.parametrize(
    ("kinds", "draw"),
    [
        (7, lambda rng: rng.randint(-3, 3)),
        (5, lambda rng: rng.randrange(5)),
        (4, lambda rng: rng.randrange(2, 10, 2)),
        (6, lambda rng: rng.choice("abcdef")),
        (60, lambda rng: tuple(rng.sample("abcde", 3))),
        (24, lambda rng: tuple(rng.sample("abcd", 4))),
        (24, lambda rng: _shuffled(rng, [1, 2, 3, 4])),
    ],
)
def test_quick_draws_are_uniform(kinds: int, draw: Callable[[Draws], Any]) -> None:
    rng = Draws(0)
    assert _spread(Counter(draw(rng) for _ in range(1000 * kinds)), kinds) < 2.5
    assert _spread(Counter(draw(random.Random(n)) for n in range(1000 * kinds)), kinds) < 2.5  # the judge is fair


def _shuffled(rng: random.Random, values: list[int]) -> tuple[int, ...]:
    rng.shuffle(values)
    return tuple(values)


def test_no_value_that_is_sampled_stands_twice_in_its_pool() -> None:
    """Draws.sample would wait for values that are not there."""
    for pool in (NOUNS, DESCRIBING, FIRST_NAMES, context_recall.PROPERTIES, brackets.PAIRS):
        assert len(set(pool)) == len(pool)
    assert min(len(NOUNS), len(FIRST_NAMES), len(context_recall.PROPERTIES)) > 12  # the most at level 5


def test_unknown_task_and_level_are_named() -> None:
    with pytest.raises(ValueError, match=r"'sort'; did you mean 'sorting'"):
        generate(random.Random(0), 1, "sort")
    with pytest.raises(ValueError, match=r"'xyz'; known: arithmetic, counting"):
        generate(random.Random(0), 1, "xyz")
    with pytest.raises(ValueError, match=r"6.*1\.\.5"):
        generate(random.Random(0), 6, "sorting")
