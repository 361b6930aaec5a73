"""Recall from context: `Nora plays chess. Emil is shy. What is Emil like? ` answer `Emil is shy.`

| level | facts | question                                                       |
|-------|-------|----------------------------------------------------------------|
| 1     | 2-4   | asks for the kind of fact (does, is, has, likes)               |
| 2     | 2-6   | the same                                                       |
| 3     | 2-8   | half of the items ask in general: `Tell me about Emil.` etc.   |
| 4     | 2-10  | the same                                                       |
| 5     | 2-12  | the same                                                       |

Names and properties are different within an item; the fact in question stands anywhere.
"""

import random

from hamner.data.synthetic_tasks.example import Example
from hamner.data.synthetic_tasks.words import FIRST_NAMES

_QUESTIONS = {
    "does": "What does {name} do?",
    "is": "What is {name} like?",
    "has": "What does {name} have?",
    "likes": "What does {name} like?",
}
_GENERAL_QUESTIONS = ("Tell me about {name}.", "What do we know about {name}?", "What did it say about {name}?")

_BY_KIND = {
    "does": """plays chess; plays the harp; bakes bread; paints boats; grows roses; mends clocks; rides a
    mule; sings at night; swims at dawn; collects stamps; keeps bees; writes letters; draws maps; climbs
    rocks; studies insects; teaches dancing; drives a tram; sells cheese; works at the mill; walks to school;
    sleeps late; knits socks; reads poems; builds kites; fixes radios; carves spoons; feeds the ducks; catches
    trout""",
    "is": """is shy; is brave; is tidy; is hungry; is patient; is clever; is sleepy; is cheerful; is quiet; is
    curious; is stubborn; is generous; is careful; is forgetful; is funny; is tired; is very tall; is rather
    short; is never late; is often early; is good with numbers; is afraid of spiders; is fond of rain; is new
    in town""",
    "has": """has a red bicycle; has two sisters; has a grey cat; has an old piano; has three goats; has a
    loud voice; has a wooden leg; has curly hair; has a garden; has a twin brother; has a blue door; has a
    green coat; has a small boat; has a big family; has a sore knee; has a spare key; has a broken watch; has
    a lucky coin""",
    "likes": """likes pears; likes tea; likes thunder; likes old films; likes puzzles; likes salt; likes long
    walks; likes loud music; likes snow; likes trains; likes ghost stories; likes soup; likes mountains; likes
    parrots; likes fast cars; likes silence; likes museums; likes spicy food; likes jokes; likes early
    mornings""",
}
_KIND_OF = {" ".join(text.split()): kind for kind, block in _BY_KIND.items() for text in block.split(";")}
PROPERTIES = tuple(_KIND_OF)


def generate(rng: random.Random, level: int) -> Example:
    count = rng.randint(2, 2 * level + 2)
    names, properties = rng.sample(FIRST_NAMES, count), rng.sample(PROPERTIES, count)
    facts = [f"{name} {text}." for name, text in zip(names, properties, strict=True)]
    place = rng.randrange(count)
    question = _QUESTIONS[_KIND_OF[properties[place]]]
    if level >= 3 and rng.random() < 0.5:
        question = rng.choice(_GENERAL_QUESTIONS)
    prompt = f"{' '.join(facts)} {question.format(name=names[place])} "
    return Example("context_recall", level, prompt, facts[place])
