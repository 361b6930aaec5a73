"""Somebody talks about their workshop: half-finished projects, small disasters, neighbours, tea.

`document(rng)` is one such monologue of 80-250 words. The speaker stays the same person (shed behind the
house, dog called Bobbin, a rule about tea) with the same turns of phrase; project, trouble, cure and
digressions vary.
"""

import random
from dataclasses import dataclass

from hamner.data.builtin_text import words
from hamner.data.builtin_text.phrasing import fill, finish, pick

_FEWEST_WORDS, _MOST_WORDS = 82, 245


@dataclass(frozen=True)
class Project:
    """Something on the bench; each trouble has its own cure."""

    thing: str
    purpose: str
    parts: tuple[str, ...]
    troubles: tuple[tuple[str, str], ...]  # (what went wrong, what helped)


_PROJECTS = (
    Project(
        "old radio",
        "so I can hear the football in the shed",
        ("dial", "speaker", "mains lead", "wooden case"),
        (
            ("it hummed like a beehive", "a new capacitor for about the price of a bun"),
            ("the dial cord had snapped", "a bit of fishing line"),
            ("nothing came out, not even a crackle", "cleaning the switch with a pencil rubber"),
        ),
    ),
    Project(
        "rowing boat",
        "because the lake is only ten minutes away",
        ("keel", "seat", "oar", "third plank"),
        (
            ("it leaked faster than I could bail", "a week under water, believe it or not, so the wood could swell"),
            ("one oar was longer than the other", "cutting the long one, twice"),
            ("the varnish came off in sheets", "sanding it all down and starting again"),
        ),
    ),
    Project(
        "kitchen clock",
        "for my sister, who is always late",
        ("pendulum", "hour hand", "back plate", "spring"),
        (
            ("it ran eleven minutes fast", "moving the weight down by the width of a thumb"),
            ("it stopped whenever a lorry went by", "a longer screw in the wall"),
            ("it struck thirteen", "one bent tooth, straightened with the small pliers"),
        ),
    ),
    Project(
        "weather station",
        "so I know when to bring the washing in",
        ("wind vane", "rain gauge", "little circuit board", "mast"),
        (
            ("it said it was raining indoors", "drying out the plug with a hair dryer"),
            ("the wind was always from the north", "oil, just oil, on the bearing"),
            ("a wren moved into it", "waiting until the chicks had gone"),
        ),
    ),
    Project(
        "workbench",
        "because the last one was really a door on two barrels",
        ("vice", "left leg", "drawer", "top"),
        (
            ("it rocked like a ship", "a folded beer mat, and later a proper wedge"),
            ("the drawer only opened in dry weather", "planing off a whisker and rubbing it with candle wax"),
            ("the top cupped over the winter", "turning the boards and being patient"),
        ),
    ),
    Project(
        "bicycle",
        "for the boy next door, who has grown again",
        ("chain", "front brake", "saddle", "bell"),
        (
            ("the chain jumped off at every bump", "taking out one link"),
            ("the brake squealed like a pig", "a rub with sandpaper and a tiny turn of the blocks"),
            ("the wheel wobbled", "an evening with the spoke key and some good music"),
        ),
    ),
    Project(
        "coffee grinder",
        "since nobody sells the good sort any more",
        ("crank", "burr", "little drawer", "lid"),
        (
            ("it ground everything to gravel", "a washer, the thinnest I had"),
            ("the crank turned and nothing else did", "a new pin filed out of a nail"),
            ("it tasted of machine oil", "grinding a cup of dry rice through it, twice"),
        ),
    ),
    Project(
        "model railway",
        "for the children of the street, mostly",
        ("points", "signal box", "tunnel", "small blue engine"),
        (
            ("the engine stopped in the tunnel, always in the tunnel", "cleaning the rail with a scrap of felt"),
            ("the points threw the wrong way", "swapping two wires I had sworn were right"),
            ("Bobbin ate the station", "building a second station, out of harder wood"),
        ),
    ),
    Project(
        "telescope",
        "to show people the rings, because everybody gasps",
        ("mirror", "eyepiece", "tripod", "finder"),
        (
            ("all the stars looked like commas", "three small turns on the screws behind the mirror"),
            ("the tripod shivered at every step", "hanging a bucket of sand from it"),
            ("the mirror fogged up within minutes", "letting it cool outside for an hour first"),
        ),
    ),
    Project(
        "garden gate",
        "so the goose stays on her own side",
        ("latch", "hinge", "top rail", "gate post"),
        (
            ("it sagged until it dragged on the stones", "a brace from corner to corner, the right way up this time"),
            ("the latch froze", "a drop of oil before the frost and not after"),
            ("the post was rotten below the ground", "digging, then more digging, then oak"),
        ),
    ),
    Project(
        "talking computer",
        "because I wanted to know whether I could",
        ("fan", "keyboard", "power supply", "memory board"),
        (
            ("it only ever answered yes", "finding out I had fed it the same page nine hundred times"),
            ("it got so hot the cat slept on it", "a bigger fan and a hole in the side"),
            ("it forgot everything overnight", "saving the work, which sounds easy when you say it"),
        ),
    ),
    Project(
        "violin",
        "because it hung in a window looking sad",
        ("bridge", "peg", "tail piece", "chin rest"),
        (
            ("the seam opened in the dry spell", "hide glue, warm, and a row of clothes pegs"),
            ("the pegs slipped", "a rub of chalk"),
            ("it buzzed on one string only", "a crumb of wood under the string, gone with one breath"),
        ),
    ),
    Project(
        "loom",
        "because a friend asked and I never learn",
        ("pedal", "shuttle", "front beam", "comb"),
        (
            ("the pedals were the wrong way round", "calling them the right way round and getting used to it"),
            ("the threads kept breaking", "smoothing every single slot with a nail file"),
            ("it walked across the floor", "two strips of rubber from a dead tyre"),
        ),
    ),
    Project(
        "lamp",
        "for reading, made out of a trumpet",
        ("shade", "flex", "switch", "valve"),
        (
            ("it flickered whenever I sneezed", "tightening one screw I had walked past for a month"),
            ("it fell over", "lead in the foot, about a pound of it"),
            ("the shade smelled of burnt soup", "a cooler bulb"),
        ),
    ),
)

_FRIENDS = ("Old Mags", "Derry from the garage", "my sister", "the lad next door", "Fennick at the timber "
                                                                                   "yard", "Nan Tolly",
            "the postwoman", "my brother-in-law", "Captain Rudd across the road", "the vet")  # fmt: skip

_OPENINGS = (
    "Right, so, the {thing}.",
    "Right then. [You asked|Somebody asked] about the {thing}, [so|and] here we go.",
    "So I was in the shed [this morning|last night|on {day}|again], [and|as you do, and] there it was, the {thing}.",
    "[Well|Now], you know me, I said I would not start anything new before {month}. And then came the {thing}.",
    "Morning. Kettle is on. [Let me tell you|I have to tell you] about the {thing}.",
    "I will be honest with you, the {thing} [nearly had me|had me beaten] this week.",
    "Do you want to hear something daft? I am [mending|building|doing up] a {thing}. [Another one|At my age].",
    "[Anyway|So, anyway], where was I? The {thing}. Yes.",
    "It is {day}, it is raining, and I have [finally got|got] the {thing} on the bench.",
)
_ORIGINS = (
    "I am doing it {purpose}, [mind you|if you want to know].",
    "I [got|had] it from {friend} for {price}, {purpose}.",
    "{friend} [found it in a skip|was going to throw it out], and I cannot watch that sort of thing.",
    "I only said yes {purpose}[, and now look at me|, and here we are].",
    "It has stood behind the {clutter} for [about |]{number} years, and I thought, it is now or never.",
    "What for? Well, {purpose}. That is [reason enough|all the reason I need].",
)
_TROUBLES = (
    "And [what happened|guess what]? {Trouble}.",
    "First go, {trouble}. [Lovely|Of course it did|Typical].",
    "It all went [fine|swimmingly] until [I put the {part} back|I touched the {part}|tea time], and then {trouble}.",
    "I had the {part} off, [cleaned|oiled] it, put it back, felt [very|rather] clever, and {trouble}.",
    "Now here is the thing: {trouble}. [For days|For a whole week].",
    "The trouble was, {trouble}, and I could not for the life of me see why.",
)
_WRONG_TURNS = (
    "I blamed the {part}. It was not the {part}. It is never the {part}.",
    "I took the whole lot apart [on the kitchen table|on the floor], and had {number} bits left over when I "
    "was done, which is never a good sign.",
    "{friend} said, [have you tried hitting it. I had|did you read the manual. I did, in the end]. It did not help.",
    "I looked for my {tool} for an hour. It was in my [other |]hand. [Do not tell anyone|You may laugh].",
    "So I did what I always do, I [swept the floor|sharpened the {tool}] and [hoped|waited for an idea].",
    "I spent [a whole|half a] {day} on the {part} with the {tool} before I noticed I was [looking at it "
    "upside down|fixing the bit that worked].",
    "You know how it is. You think, ten minutes with the {tool}, and suddenly [it is dark|the dog wants his supper].",
)
_CURES = (
    "In the end, what did it was {cure}. [That is all|Honestly|I ask you].",
    "And the answer? {Cure}. [Cost me nothing|{number} days to find, {number} minutes to do].",
    "{friend} had a look and [said|just said] it straight out: {cure}. [And blow me, it worked|Annoying, "
    "when people are right].",
    "Then, over a cup of tea, it came to me: {cure}. [It is always over a cup of tea|Never fails].",
    "So, {cure}. [Write that down|Remember that one], it will [save|spare] you [a fortune|a weekend].",
)
_DIGRESSIONS = (
    "Bobbin, that is the dog, [slept through all of it|sat on the plans], [bless him|which is his way of helping].",
    "Mind you, the shed [roof|window] still leaks, [right over|just above] the {clutter}, but one thing at a time.",
    "That reminds me, if {friend} asks, I have never seen that {tool}.",
    "I do like the smell of the place, you know, [sawdust and oil|pine and a bit of solder] and [wet dog|old tea].",
    "They always ask me why I do not just buy a new one. Well, [where is the fun in that|a new one has no stories].",
    "I learned on my grandad's {tool}, and I still use it, and it is [older than both of us|sharper than I am].",
    "Somewhere under the {clutter} there is a second {tool}, [I am sure of it|I would bet money on it].",
    "My old rule is, measure twice, have tea, measure again. [People laugh|Works for most things].",
)
_CLOSINGS = (
    "So that is that. Next week, the {next_thing}. [Or tea|We will see].",
    "It works now. It is not pretty, but it works, and [so do I, most days|that is how I like it].",
    "Anyway, that is me. [Mind your fingers|Mind how you go].",
    "If yours does the same, [come round|bring it over]. Bring [biscuits|your own {tool}].",
    "Would I do it again? [Ask me in {month}|Course I would].",
    "And that, my friend, is why you never throw away a {part}. [Right, kettle|Ta-ra].",
    "[Next job is|After that comes] the {next_thing}, and I [can hardly wait|have told nobody yet]. Right. Back to it.",
)
_CLUTTER = words.pool(
    """paint tins; lawn mower; jam jars; bicycle frames; box of odd screws; pile of planks; broken chairs; old
    tyres; biscuit tins; rolled-up carpet; sacks of plaster; three ladders"""
)
_PRICES = ("five pounds", "a cake", "a bag of apples", "next to nothing", "two jars of honey", "a promise", "a haircut")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "nine")


def document(rng: random.Random) -> str:
    """A monologue of 82 to 245 words."""
    while True:
        text = _talk(rng)
        if _FEWEST_WORDS <= text.count(" ") + text.count("\n\n") + 1 <= _MOST_WORDS:
            return text


def _talk(rng: random.Random) -> str:
    """One project from beginning to end; now and then a second trouble with its own cure."""
    project, next_project = rng.sample(_PROJECTS, 2)
    troubles = rng.sample(project.troubles, 1 if rng.random() < 0.6 else 2)
    digressions = rng.sample(_DIGRESSIONS, rng.randint(1, 3))
    paragraphs: list[list[str]] = [[pick(rng, _OPENINGS), pick(rng, _ORIGINS)]]
    ways = [rng.sample(pool, len(troubles)) for pool in (_TROUBLES, _WRONG_TURNS, _CURES)]
    paragraphs += [list(sentences) for sentences in zip(*ways, strict=True)]
    values = {"thing": project.thing, "next_thing": next_project.thing, "purpose": project.purpose}
    texts: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        if number:
            trouble, cure = troubles[number - 1]
            values |= {"trouble": trouble, "Trouble": _capital(trouble), "cure": cure, "Cure": _capital(cure)}
        sentences = [fill(rng, template, _details(rng, project, values)) for template in paragraph]
        if digressions:
            sentences.append(fill(rng, digressions.pop(), _details(rng, project, values)))
        texts.append(" ".join(sentences))
    texts.append(fill(rng, pick(rng, _CLOSINGS), _details(rng, project, values)))
    return finish("\n\n".join(texts))


def _details(rng: random.Random, project: Project, values: dict[str, str]) -> dict[str, str]:
    """Small things that may differ from sentence to sentence."""
    return values | {
        "part": pick(rng, project.parts),
        "friend": pick(rng, _FRIENDS),
        "tool": pick(rng, words.TOOLS),
        "clutter": pick(rng, _CLUTTER),
        "price": pick(rng, _PRICES),
        "number": pick(rng, _NUMBERS),
        "day": pick(rng, words.DAYS),
        "month": pick(rng, words.MONTHS),
    }


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
