"""Conversations that show six habits of a friend, each beside its contrast, so that the words of the chat decide.

`conversation(rng)` returns turns as `dialogues.conversation` does. The habits, one function each: `warm` to good and
bad news; `asks_or_answers`; `names`; `told_or_unknown`; `kind` under hard words; `on_subject`. Each returns exchanges
that `rng` alone decides.
"""

import random
import re
from collections.abc import Callable, Sequence

from hamner.data.builtin_text import dialogue_turns as turns
from hamner.data.builtin_text import habit_asking as asking
from hamner.data.builtin_text import habit_asking_rows as asking_rows
from hamner.data.builtin_text import habit_kindness as kindness
from hamner.data.builtin_text import habit_names, habit_news_rows
from hamner.data.builtin_text import habit_news as news
from hamner.data.builtin_text import habit_subjects as subjects
from hamner.data.builtin_text import habit_told as tellable
from hamner.data.builtin_text.habit_tools import PETS, Exchange, Values, details, name, spoken
from hamner.data.builtin_text.phrasing import fill, finish, pick

_MOST_EXCHANGES = 4
_MOST_WORDS = 25
_FEWEST_SAID, _FEWEST_ANSWERED = 2, 4
_SYSTEM_FRACTION = 0.1
_GREETING_FRACTION = 0.1
_SIGNED_FRACTION = 0.12
_THANKS_FRACTION = 0.08

_NEWS_REPLIES = {
    "good": (news.GLAD, news.GLAD_ENDS),
    "bad": (news.SORRY, news.SORRY_ENDS),
    "moan": (news.PITY, news.PITY_ENDS),
}
_NEWS_LATER = {
    "good": habit_news_rows.GOOD_LATER,
    "bad": habit_news_rows.BAD_LATER,
    "moan": habit_news_rows.MOANS_LATER,
}

_SENTENCE_END = re.compile(r"([.!?])(?= |$)")
_ME = re.compile(r"\b(I am|I was|I|me|my|mine|we|our|us)\b")
_YOU = {"I am": "you are", "I was": "you were", "I": "you", "me": "you", "my": "your", "mine": "yours", "we": "you",
        "our": "your", "us": "you"}  # fmt: skip


def conversation(rng: random.Random) -> list[dict[str, str]]:
    """The turns of one conversation, in order."""
    exchanges = _exchanges(rng)
    while not all(map(_fits, exchanges)):
        exchanges = _exchanges(rng)
    messages: list[dict[str, str]] = []
    if rng.random() < _SYSTEM_FRACTION:
        system = fill(rng, pick(rng, turns.SYSTEM_TURNS[:3]), {})  # the others name towns and users
        messages.append({"role": "system", "content": finish(system)})
    for said, answer in exchanges:
        messages += ({"role": "user", "content": said}, {"role": "assistant", "content": answer})
    return messages


def warm(rng: random.Random, values: Values) -> list[Exchange]:
    """News and a reply that shares the joy, the sorrow or the moan; in every second case one exchange more."""
    kind = pick(rng, ("good", "good", "bad", "bad", "moan"))
    exchanges = [news_told(rng, values, kind)]
    if rng.random() < 0.5:
        then, answer = (fill(rng, text, values) for text in pick(rng, _NEWS_LATER[kind]))
        exchanges.append((then + pick(rng, (".", ".", "!", "")), answer + "."))
    return exchanges


def news_told(rng: random.Random, values: Values, kind: str) -> Exchange:
    """News of a kind, good, bad or moan, and the reply to it."""
    said, reaction = _news(rng, values, kind)
    openings, ends = _NEWS_REPLIES[kind]
    opening = fill(rng, pick(rng, openings), values)
    parts = (reaction + ".", opening) if rng.random() < 0.2 else (opening, reaction + ".", pick(rng, ends))
    return _started(rng, news.NEWS_STARTS, said, news.NEWS_ENDS), " ".join(filter(None, parts))


def asks_or_answers(rng: random.Random, values: Values) -> list[Exchange]:
    """Somebody tells of himself and is asked about it, or asks and is answered."""
    return tells(rng, values) if rng.random() < 0.5 else asks(rng, values)


def tells(rng: random.Random, values: Values) -> list[Exchange]:
    """Something the user does or thinks, and a question about it."""
    telling, question = pick(rng, asking_rows.BOTH_SIDES)[:2] if rng.random() < 0.6 else pick(rng, asking_rows.TELLINGS)
    said, question = _uncapped(rng, telling, values), _uncapped(rng, question, values)
    said = _started(rng, asking.TELL_STARTS, said, asking.TELL_ENDS)
    exchanges = [(said, fill(rng, pick(rng, asking.TELL_REPLIES), {"question": question}))]
    if rng.random() < 0.4:
        then, question = (fill(rng, text, values) for text in pick(rng, asking.TELL_LATER))
        exchanges.append((then + pick(rng, (".", ".", "!", "")), question + "?"))
    return exchanges


def asks(rng: random.Random, values: Values) -> list[Exchange]:
    """A question or a request for a fact or a way to do something, and the answer."""
    if rng.random() < 0.6:
        how, answer = (text.format_map(values) for text in pick(rng, asking_rows.BOTH_SIDES)[2:])
        said = fill(rng, pick(rng, asking.ASK_HOW), {**values, "how": how, "do": how.removeprefix("how to ")})
        forms: Sequence[str] = asking.ANSWERS + asking.WAYS
    else:
        direct, indirect, answer = pick(rng, asking_rows.FACTS)
        said = fill(rng, pick(rng, asking.ASK_FACT), {**values, "direct": direct, "indirect": indirect})
        forms = asking.ANSWERS
    said = pick(rng, ("", "", "", "", "", "Hi. ", "Hello. ", "Please help. ", "Hey. ")) + said
    exchanges = [(said, fill(rng, pick(rng, forms), {"answer": answer}))]
    if rng.random() < 0.35:
        then, reply = (fill(rng, text, {**values, "answer": answer}) for text in pick(rng, asking.ASK_LATER))
        exchanges.append((then, reply + "."))
    return exchanges


def names(rng: random.Random, values: Values) -> list[Exchange]:
    """The user's name or another's, and later mostly a question for one of them."""
    return nameless(rng, values) if rng.random() < 0.1 else named(rng, values)


def named(rng: random.Random, values: Values) -> list[Exchange]:
    """The user's name, mostly another's too, and later a question for one of them."""
    values = _with_introduction(rng, values)
    has_other = rng.random() < 0.65
    table = (
        (habit_names.INTRODUCTIONS, habit_names.MEET_OTHER) if has_other else (habit_names.OWN_ONLY, habit_names.MEET)
    )
    exchanges = [_both(rng, pick(rng, table[0]), pick(rng, table[1]), values)]
    if rng.random() < 0.15:
        return exchanges
    for _ in range(pick(rng, (0, 1, 1, 2))):
        exchanges.append(_between(rng, values))
    kinds = (
        ("own", "own", "own", "other", "other", "who", "friend", "use", "use both")
        if has_other
        else ("own", "own", "friend", "untold", "use")
    )
    asked = pick(rng, kinds)
    exchanges.append(name_question(rng, values, asked))
    if asked in ("other", "who") and rng.random() < 0.4:
        exchanges.append(name_question(rng, values, "own"))
    return exchanges


def nameless(rng: random.Random, values: Values) -> list[Exchange]:
    """Only another's name, or none; then the user asks for his own, which the friend was not told."""
    values = _with_introduction(rng, values)
    exchanges = [_both(rng, pick(rng, habit_names.OTHER_ONLY), pick(rng, habit_names.MEET_NOBODY), values)]
    if rng.random() < 0.5:
        exchanges.append(_between(rng, values))
    return [*exchanges, name_question(rng, values, "own untold")]


def told_or_unknown(rng: random.Random, values: Values) -> list[Exchange]:
    """A question the friend can answer because it was told, or one that it cannot know."""
    draw = rng.random()
    if draw < 0.35:
        return unknown(rng, values)
    return told(rng, values) if draw < 0.8 else [untold(rng, values, pick(rng, tellable.TELLABLE))]


def unknown(rng: random.Random, values: Values) -> list[Exchange]:
    """Something nobody could tell from here."""
    said, why, help_ = pick(rng, tellable.UNKNOWABLE)
    values = {**values, "why": why.format_map(values), "help": help_.format_map(values)}
    answer = fill(rng, pick(rng, tellable.UNKNOWN), values).replace("?.", "?")
    said = _uncapped(rng, said, values)
    return [
        (_started(rng, ("", "", "", "Hi,", "So,", "Say,", "Tell me,", "One question:", "Hey,"), said, ("",)), answer)
    ]


def told(rng: random.Random, values: Values) -> list[Exchange]:
    """One to three things told, then a question for one of them, now and then for one that was not told."""
    rows = rng.sample(tellable.TELLABLE, 3)
    has_two = rng.random() < 0.5
    if has_two and rng.random() < 0.5:  # of one kind, so that each keeps its own value
        rows[1] = pick(rng, [row for row in tellable.TELLABLE if row[0] == rows[0][0] and row not in rows] or rows[1:2])
    first, second, hidden = (_valued(rng, values, row) for row in rows)
    if has_two and rng.random() < 0.6:
        said = fill(rng, pick(rng, tellable.TELL_TWO), {"a": first["told"], "b": second["told"]})
        exchanges = [(said, _heard(rng, first))]
    else:
        exchanges = [_told_one(rng, first), *([_told_one(rng, second)] if has_two else [])]
    if rng.random() < 0.4 and len(exchanges) < 2:
        exchanges.append(_between(rng, values))
    asked = second if has_two and rng.random() < 0.5 else first
    question = fill(rng, pick(rng, tellable.QUESTION_FORMS), {"q": asked["question"]})
    exchanges.append((question, fill(rng, pick(rng, tellable.KNOWN), {"a": asked["answer"]})))
    if rng.random() < 0.25:
        exchanges.append(_not_told(rng, hidden))
    return exchanges


def kind(rng: random.Random, values: Values) -> list[Exchange]:
    """Hard words against the friend, the user or somebody else, or an apology."""
    draw = rng.random()
    if draw < 0.15:
        return [_sorry(rng, values)]
    if draw < 0.45:
        exchanges = [scolded(rng, values)]
        if rng.random() < 0.45:
            exchanges.append(_sorry(rng, values) if rng.random() < 0.7 else scolded(rng, values))
        return exchanges
    if draw < 0.75:
        exchanges = [run_down(rng, values)]
        if rng.random() < 0.4:
            then, answer = (fill(rng, text, values) for text in pick(rng, habit_news_rows.BAD_LATER))
            exchanges.append((then + ".", answer + "."))
        return exchanges
    exchanges = [blamed(rng, values)]
    if rng.random() < 0.3:
        exchanges.append(run_down(rng, values))
    return exchanges


def scolded(rng: random.Random, values: Values) -> Exchange:
    """The friend is scolded and stays calm."""
    if rng.random() < 0.5:
        said, thing = (_uncapped(rng, text, values) for text in pick(rng, kindness.SCOLDS))
        answer = pick(rng, kindness.CALM)
    else:
        values = _faults(rng, values, "you", "are", "are you")
        said, thing = _uncapped(rng, pick(rng, kindness.FAULT_FORMS), values), "my answer"
        answer = pick(rng, kindness.CALM if rng.random() < 0.5 else kindness.CALM_FAULT)
    return _capped(said + _end(rng, said)), fill(rng, answer, {**values, "thing": thing})


def run_down(rng: random.Random, values: Values) -> Exchange:
    """The user speaks ill of himself and is comforted."""
    if rng.random() < 0.5:
        said, no = (_uncapped(rng, text, values) for text in pick(rng, kindness.DOWNS))
    else:
        values = _faults(rng, values, "I", "am", "am I")
        said = _uncapped(rng, pick(rng, kindness.FAULT_FORMS), values)
        no = _uncapped(rng, pick(rng, kindness.NOT_SO), values)
    answer = fill(rng, pick(rng, kindness.COMFORT), {"no": no, "close": pick(rng, kindness.COMFORT_ENDS)})
    return _capped(said + _end(rng, said)), answer.strip()


def blamed(rng: random.Random, values: Values) -> Exchange:
    """The user speaks ill of somebody, and the friend hears the trouble without joining in."""
    who = pick(rng, kindness.BLAMED)
    if rng.random() < 0.5:
        said, echo = (_uncapped(rng, text, {"who": who}) for text in pick(rng, kindness.BLAMES))
        answer = pick(rng, kindness.HEAR_TROUBLE)
    else:
        named = f"my {who}"
        said = _uncapped(rng, pick(rng, kindness.FAULT_FORMS), _faults(rng, values, named, "is", f"is {named}"))
        answer, echo = pick(rng, kindness.HEAR_TROUBLE[3:]), ""  # the first three take up what was done
    return _capped(said + _end(rng, said)), fill(rng, answer, {"who": who, "echo": echo})


def on_subject(rng: random.Random, values: Values) -> list[Exchange]:
    """An everyday trouble or plan, a question, a short answer that means nothing alone, and what follows from it."""
    opening, question, short, follows = pick(rng, subjects.SUBJECTS)
    said = _started(rng, subjects.SUBJECT_STARTS, _uncapped(rng, opening, values), subjects.SUBJECT_ENDS)
    short = _uncapped(rng, short, values)
    start = "" if "I " in short else pick(rng, subjects.ANSWER_STARTS)
    reply = fill(rng, follows, {**values, "a": mirrored(short)})
    exchanges = [
        (said, fill(rng, pick(rng, subjects.ASK_SUBJECT), {"q": _uncapped(rng, question, values)})),
        (
            _capped(start + short) + pick(rng, (".", ".", ".", "")),
            fill(rng, pick(rng, subjects.SUBJECT_REPLIES), {"r": reply}),
        ),
    ]
    if rng.random() < 0.3:
        then, answer = (fill(rng, text, values) for text in pick(rng, subjects.AND_THEN))
        exchanges.append((then if then.endswith("?") else then + ".", answer + ("" if answer.endswith("?") else ".")))
    return exchanges


HABITS: tuple[Callable[[random.Random, Values], list[Exchange]], ...] = (
    warm, asks_or_answers, names, told_or_unknown, kind, on_subject,
)  # fmt: skip


def mirrored(text: str) -> str:
    """`text` as the other side says it: "my sister" is "your sister"."""
    return _ME.sub(lambda match: _YOU[match.group()], text)


def _exchanges(rng: random.Random) -> list[Exchange]:
    values = details(rng)
    habit = pick(rng, HABITS)
    exchanges = habit(rng, values)
    if habit is not names and len(exchanges) < _MOST_EXCHANGES and rng.random() < _GREETING_FRACTION:
        met = _both(rng, pick(rng, habit_names.OWN_ONLY), pick(rng, habit_names.MEET), _with_introduction(rng, values))
        exchanges = [met, *exchanges]
    elif habit is not names and rng.random() < _SIGNED_FRACTION:
        exchanges[0] = _addressed(rng, exchanges[0], values)
    if len(exchanges) < _MOST_EXCHANGES and rng.random() < _THANKS_FRACTION:
        exchanges.append(_both(rng, *pick(rng, turns.THANKS), values))
    return [spoken(rng, *exchange) for exchange in exchanges[:_MOST_EXCHANGES]]


def _addressed(rng: random.Random, exchange: Exchange, values: Values) -> Exchange:
    """`exchange` with the user's name said in it, and used in the reply's first sentence or its last."""
    said, answer = exchange
    own = _with_introduction(rng, values)
    said = pick(rng, ("{own}. {said}", "{own}. {said}", "{said} {signed}")).format_map({**own, "said": said})
    if rng.random() < 0.6:
        return _capped(said), _SENTENCE_END.sub(f", {values['me']}\\1", answer, count=1)
    return _capped(said), f"{answer[:-1]}, {values['me']}{answer[-1]}"


def _fits(exchange: Exchange) -> bool:
    said, answer = (text.count(" ") + 1 for text in exchange)
    return _FEWEST_SAID <= said <= _MOST_WORDS and _FEWEST_ANSWERED <= answer <= _MOST_WORDS


def _both(rng: random.Random, said: str, answer: str, values: Values) -> Exchange:
    return fill(rng, said, values), fill(rng, answer, values)


def _capped(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapped(rng: random.Random, template: str, values: Values) -> str:
    """A reading of `template` for the inside of a sentence."""
    text = fill(rng, template, values)
    is_lower = template.lstrip("[")[:1].islower()
    return text[:1].lower() + text[1:] if is_lower else text


def _started(rng: random.Random, starts: Sequence[str], said: str, ends: Sequence[str]) -> str:
    start = pick(rng, starts).strip()
    return _capped((f"{start} " if start else "") + said) + pick(rng, ends)


def _end(rng: random.Random, said: str) -> str:
    return "?" if said.startswith("why ") else pick(rng, kindness.FAULT_ENDS)


def _news(rng: random.Random, values: Values, kind: str) -> Exchange:
    """What happened, and the reaction to just that."""
    if kind == "moan" or rng.random() < 0.5:
        table = {"good": habit_news_rows.GOOD, "bad": habit_news_rows.BAD, "moan": habit_news_rows.MOANS}[kind]
        said, reaction = pick(rng, table)
    else:
        slot, good, glad, bad, sad = pick(rng, news.FAMILIES)
        values = {**values, slot: pick(rng, news.FAMILY_POOLS[slot])}
        said, reaction = (good, glad) if kind == "good" else (bad, sad)
    return _uncapped(rng, said, values), _capped(_uncapped(rng, reaction, values))


def _faults(rng: random.Random, values: Values, who: str, are: str, why: str) -> Values:
    fault, fault2 = rng.sample(kindness.FAULTS, 2)
    return {**values, "who": who, "are": are, "why": why, "fault": fault, "fault2": fault2}


def _sorry(rng: random.Random, values: Values) -> Exchange:
    values = {**values, "close": pick(rng, kindness.ACCEPT_ENDS)}
    said = pick(rng, kindness.APOLOGIES)
    accepts = kindness.ACCEPTS if "?" not in said else kindness.ACCEPTS[:1]  # nobody thanks for a question
    return _both(rng, said, pick(rng, accepts), values)


def _with_introduction(rng: random.Random, values: Values) -> Values:
    """`values` with the parts from which people say their own name and another's."""
    role = pick(rng, habit_names.ROLES)
    others = habit_names.OTHERS_ANY if role in PETS else habit_names.OTHERS_ANY + habit_names.OTHERS_SPEAKING
    values = {**values, "role": role, "drink": pick(rng, habit_names.DRINKS)}
    hello = pick(rng, habit_names.HELLOS)
    parts = {
        "own": _uncapped(rng, pick(rng, habit_names.OWN_NAMES), values),
        "others": _uncapped(rng, pick(rng, others), values),
        "signed": _capped(pick(rng, habit_names.SIGNED).format_map(values)),
        "smalltalk": _uncapped(rng, pick(rng, habit_names.SMALLTALK), values),
    }
    return {**values, **parts, "hello": hello}


def _between(rng: random.Random, values: Values) -> Exchange:
    """An exchange about something else."""
    if rng.random() < 0.4:
        said, answer = (fill(rng, text, values) for text in pick(rng, tellable.BETWEEN))
        return said + ".", answer if answer.endswith("?") else answer + "."
    return pick(rng, (warm, tells, asks))(rng, values)[0]


def name_question(rng: random.Random, values: Values, asked: str) -> Exchange:
    """A question for the name of the user ("own"), of another and so on, and its answer."""
    said, answer = {
        "own": (habit_names.ASK_OWN, habit_names.SAY_OWN),
        "other": (habit_names.ASK_OTHER, habit_names.SAY_OTHER),
        "who": (habit_names.ASK_WHO, habit_names.SAY_WHO),
        "friend": (habit_names.ASK_FRIEND, habit_names.SAY_FRIEND),
        "own untold": (habit_names.ASK_OWN, habit_names.NOT_TOLD_OWN),
        "untold": (habit_names.ASK_OTHER, habit_names.NOT_TOLD_NAME),
        "use": (habit_names.SAY_THANKS, habit_names.USE_NAME),
        "use both": (habit_names.SAY_THANKS, habit_names.USE_BOTH_NAMES),
    }[asked]
    return _both(rng, pick(rng, said), pick(rng, answer), values)


def _valued(rng: random.Random, values: Values, row: Sequence[str]) -> Values:
    """A row of things to tell with its value: told, question, answer, what."""
    pool, *texts = row
    value = name(rng) if pool == "name" else pick(rng, tellable.POOLS[pool])
    filled = {**values, "v": value}
    told_, question, answer, what = (_uncapped(rng, text, filled) for text in texts)
    return {"told": told_, "question": question, "answer": mirrored(answer), "what": what}


def _told_one(rng: random.Random, fact: Values) -> Exchange:
    return fill(rng, pick(rng, tellable.TELL_FORMS), {"a": fact["told"]}), _heard(rng, fact)


def _heard(rng: random.Random, fact: Values) -> str:
    if rng.random() < 0.4:
        return fill(
            rng, "{a}[, good to know|, I see|, all right|, I will remember|, nice|, noted].", {"a": fact["answer"]}
        )
    return fill(rng, pick(rng, tellable.HEARD), {"more": pick(rng, tellable.HEARD_MORE)})


def _not_told(rng: random.Random, fact: Values) -> Exchange:
    said = fill(rng, pick(rng, tellable.QUESTION_FORMS), {"q": fact["question"]})
    return said, fill(rng, pick(rng, tellable.NOT_TOLD), {**fact, "offer": pick(rng, tellable.OFFERS)}).strip()


def untold(rng: random.Random, values: Values, row: Sequence[str]) -> Exchange:
    """A question about the user's own things that were not told."""
    return _not_told(rng, _valued(rng, values, row))
