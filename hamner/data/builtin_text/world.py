"""An invented country whose towns, rivers, mountains, people, animals and plants never change.

    world().towns[3]["founded"]     # the same year in every run, on every machine

An entity is a dict of strings that templates insert directly; `kind` says which templates fit, `name` is
unique, and `related` lists the names of entities mentioned in it. Draw with `World.draw`: the first of each
list come up often and the last rarely, so that a model learns facts at many speeds instead of all or none.
"""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from hamner.data.builtin_text import words
from hamner.data.builtin_text import world_pools as pools
from hamner.data.builtin_text.phrasing import listed, pick

Entity = dict[str, str]

_SEED = "the world never changes"
_COUNTS = {"town": 360, "river": 140, "mountain": 120, "person": 480, "animal": 140, "plant": 120}
_SKEW = 2.2  # index = n * u ** skew: half of all draws fall on the first fifth of a list

# Where people come from who are older than every town; nobody describes it.
_LOST_CITY = {"name": "Orsamund", "region": "the Lake Country", "founded": "0"}


@dataclass(frozen=True)
class World:
    towns: list[Entity]
    rivers: list[Entity]
    mountains: list[Entity]
    people: list[Entity]
    animals: list[Entity]
    plants: list[Entity]
    related: dict[str, tuple[str, ...]]  # name -> names of the entities it mentions
    by_name: dict[str, Entity]

    def draw(self, rng: random.Random, entities: list[Entity]) -> Entity:
        """One of the entities, the first of them most often."""
        return entities[int(len(entities) * rng.random() ** _SKEW)]


@functools.cache
def world() -> World:
    """The one world, built in some 50 ms when the first text needs it."""
    rng = random.Random(_SEED)
    mountains = [_mountain(rng, name) for name in _names(rng, pools.PEAK_STARTS, pools.PEAK_ENDS, "mountain")]
    rivers = [_river(rng, name, mountains) for name in _names(rng, pools.RIVER_STARTS, pools.RIVER_ENDS, "river")]
    towns = [_town(rng, name, rivers) for name in _names(rng, pools.TOWN_STARTS, pools.TOWN_ENDS, "town")]
    people = _people(rng)
    plants = [_plant(rng, name) for name in _names(rng, pools.PLANT_STARTS, pools.PLANT_ENDS, "plant")]
    adjectives = [f"{adjective} " for adjective in pools.CREATURE_ADJECTIVES]
    animals = [_animal(rng, name, plants) for name in _names(rng, adjectives, pools.CREATURES, "animal")]
    _link(rng, towns, rivers, mountains, people, animals, plants)
    everything = [*towns, *rivers, *mountains, *people, *animals, *plants]
    by_name = {entity["name"]: entity for entity in everything}
    related = {name: _mentioned(entity, by_name) for name, entity in by_name.items()}
    return World(towns, rivers, mountains, people, animals, plants, related, by_name)


def _mentioned(entity: Entity, by_name: dict[str, Entity]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(v for v in entity.values() if v in by_name and v != entity["name"]))


def _names(rng: random.Random, starts: Sequence[str], ends: Sequence[str], kind: str) -> list[str]:
    names = [start + end for start in starts for end in ends if start[-1] != end[0]]
    names = [name.replace("'s", "'s ") for name in names]
    rng.shuffle(names)
    return names[: _COUNTS[kind]]


def _mountain(rng: random.Random, name: str) -> Entity:
    return {
        "kind": "mountain",
        "name": pick(rng, pools.PEAK_FORMS).format(name),
        "region": pick(rng, pools.REGIONS),
        "height": f"{rng.randrange(610, 3400, 10):,}",
        "rock": pick(rng, pools.ROCKS),
        "summit": pick(rng, pools.SUMMITS),
        "snow_month": pick(rng, ("March", "April", "May", "June", "July")),
        "hours": pick(rng, ("two", "three", "four", "five", "six", "seven", "eight", "nine")),
        "climbed": str(rng.randrange(1720, 1900)),
    }


def _river(rng: random.Random, name: str, mountains: list[Entity]) -> Entity:
    source = pick(rng, mountains)
    return {
        "kind": "river",
        "name": name,
        "region": source["region"],
        "source": source["name"],
        "mouth": pick(rng, pools.WATERS),
        "length": str(rng.randrange(24, 420)),
        "colour": pick(rng, pools.RIVER_COLOURS),
        "fish": pick(rng, pools.FISH),
        "other_fish": pick(rng, ("crayfish", "mussels", "lampreys", "minnows")),
        "craft": pick(rng, pools.CRAFT),
        "flood_month": pick(rng, words.MONTHS),
    }


def _town(rng: random.Random, name: str, rivers: list[Entity]) -> Entity:
    river = pick(rng, rivers)
    return {
        "kind": "town",
        "name": name,
        "river": river["name"],
        "region": river["region"],
        "side": pick(rng, ("north", "south", "east", "west")),
        "population": f"{rng.randrange(400, 30000, 100):,}",
        "good": pick(rng, pools.GOODS),
        "landmark": pick(rng, pools.LANDMARKS),
        "market_day": pick(rng, words.DAYS),
        "festival": pick(rng, pools.FESTIVALS),
        "festival_month": pick(rng, words.MONTHS),
        "dish": pick(rng, pools.DISHES),
        "distance": str(rng.randrange(6, 48)),
    }


def _people(rng: random.Random) -> list[Entity]:
    """The people in random order; their teachers are older than they are."""
    births = sorted(rng.randrange(1380, 1880) for _ in range(_COUNTS["person"]))
    first_names, surnames = words.first_names(), words.surnames()
    names = rng.sample([f"{first} {last}" for first, _ in first_names for last in surnames], len(births))
    pronouns = dict(first_names)
    people: list[Entity] = []
    for name, born in zip(names, births, strict=True):
        who = pronouns[name.split()[0]]
        trade = pick(rng, pools.TRADES)
        teachers = [person for person in people if person["trade"] == trade and int(person["born"]) <= born - 15]
        died = born + rng.randrange(44, 92)
        people.append(
            {
                "kind": "person",
                "name": name,
                "surname": name.split()[1],
                "he": who.he,
                "him": who.him,
                "his": who.his,
                "trade": trade,
                "born": str(born),
                "died": str(died),
                "age": str(died - born),
                "work": pick(rng, pools.WORKS[trade]),
                "work_year": str(born + rng.randrange(23, 43)),
                "habit": pick(rng, pools.HABITS),
                "teacher": pick(rng, teachers[-4:])["name"] if teachers else "an aunt",
            }
        )
    rng.shuffle(people)
    return people


def _plant(rng: random.Random, name: str) -> Entity:
    form = pick(rng, pools.PLANT_FORMS)
    return {
        "kind": "plant",
        "name": name,
        "form": form,
        "flower": pick(rng, words.COLOURS),
        "month": pick(rng, words.MONTHS[2:10]),
        "height": str(rng.randrange(*pools.PLANT_HEIGHTS[form], 5)),
        "habitat": pick(rng, pools.HABITATS),
        "use": pick(rng, pools.USES),
        "taste": pick(rng, pools.TASTES),
        "part": pick(rng, ("leaves", "roots", "flowers", "seeds", "stems")),
        "region": pick(rng, pools.REGIONS),
    }


def _animal(rng: random.Random, name: str, plants: list[Entity]) -> Entity:
    animal_class = pick(rng, pools.ANIMAL_CLASSES)
    cold = animal_class in pools.COLD_BLOODED
    colour, second_colour = rng.sample(words.COLOURS, 2)
    return {
        "kind": "animal",
        "name": name,
        "class": animal_class,
        "size": pick(rng, words.pool(pools.SIZES[animal_class])),
        "colour": colour,
        "second_colour": second_colour,
        "habitat": pick(rng, pools.HABITATS),
        "region": pick(rng, pools.REGIONS),
        "prey": pick(rng, pools.PREY),
        "plant": pick(rng, plants)["name"],
        "active": pick(rng, ("at night", "at dawn", "at dusk", "by day", "after rain")),
        "young": pick(rng, ("one", "two", "three", "four", "five", "six", "seven", "eight")),
        "young_month": pick(rng, words.MONTHS[2:9]),
        "sound": pick(rng, pools.COLD_BLOODED_SOUNDS if cold else pools.SOUNDS),
        "winter": pick(rng, pools.COLD_BLOODED_WINTERS if cold else pools.WINTERS),
    }


def _link(rng: random.Random, towns: list[Entity], rivers: list[Entity], mountains: list[Entity],
          people: list[Entity], animals: list[Entity], plants: list[Entity]) -> None:  # fmt: skip
    """Add what links two lists: founders, birthplaces, neighbours, climbers, towns on a river."""
    founders = [person for person in people if int(person["born"]) < 1560]
    for town in towns:
        founder = pick(rng, founders)
        town["founder"], town["founder_trade"] = founder["name"], founder["trade"]
        town["founded"] = str(int(founder["born"]) + rng.randrange(24, 42))
        town["neighbour"] = pick(rng, [t["name"] for t in towns if t["region"] == town["region"] and t is not town])
    for person in people:
        birthplace = _town_older_than(rng, towns, person["born"])
        person["birthplace"], person["region"] = birthplace["name"], birthplace["region"]
        person["work_town"] = _town_older_than(rng, towns, person["work_year"])["name"]
    for mountain in mountains:
        year = int(mountain["climbed"])
        climbers = [person for person in people if 18 <= year - int(person["born"]) <= 43]
        mountain["climber"] = pick(rng, climbers)["name"]
        mountain["animal"] = pick(rng, animals)["name"]
    for river in rivers:
        on_it = [town["name"] for town in towns if town["river"] == river["name"]][:3]
        river["towns"] = listed(on_it) if on_it else "no town of any size"
        river["town"] = on_it[0] if on_it else ""
    for plant in plants:
        plant["animal"] = pick(rng, animals)["name"]


def _town_older_than(rng: random.Random, towns: list[Entity], year: str) -> Entity:
    return pick(rng, [town for town in towns if town["founded"] < year] or [_LOST_CITY])
