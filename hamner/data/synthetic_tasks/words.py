"""Word pools shared by the tasks: lower-case nouns, describing words, first names, made-up words."""

import random


def each_word(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS = each_word("""
    acorn anchor apron barrel basket beetle bench blanket bottle bramble bridge broom bucket button cabin
    candle canoe carrot cellar chalk cherry chimney clover cobweb compass copper corner cradle crayon cricket
    cupboard curtain daisy desk donkey drawer drum eagle engine envelope fence fern ferry fiddle flask flute
    fossil fountain fox garden garlic gate ginger glove goose hammer hamster harbour hat hedge helmet heron
    hinge honey hook island ivy jacket jar jigsaw kettle kite kitten ladder lamp lantern lemon letter lizard
    locket magnet mango maple marble meadow melon mirror mitten mole moth mushroom napkin needle nest nettle
    notebook oak oar olive onion orchard otter oven owl paddle parcel parsley peach pebble pepper pigeon
    pillow pine pipe plate plough plum pocket pond poppy potato pump quilt rabbit radish raft rake raven
    ribbon river robin rope saddle sail sandal saucer scarf seal shovel sleigh snail sofa sparrow spoon
    squirrel stool stove swan table teapot thimble thistle ticket tiger toad towel trumpet tulip tunnel turnip
    valley vase violin wagon walnut wardrobe whistle willow window zebra
    """)

DESCRIBING = each_word("""
    amber bent blue bright broad broken calm carved cheap clean cold cosy crooked damp dark dusty early empty
    faded fancy flat fresh gentle golden green grey heavy hollow hot huge icy late light little lonely long
    loose muddy narrow neat new noisy odd old orange painted pale plain polished proud purple quick quiet red
    round rusty sharp shiny silent silver slow small smooth soft sour spare spotted steep striped strong sweet
    tall thin tiny warm white wide wild wooden yellow young
    """)

FIRST_NAMES = each_word("""
    Adela Alba Anton Arvid Beatrix Bruno Carla Cedric Celia Clara Conrad Dagmar Dora Edgar Edith Elias Elsa
    Emil Erik Esther Felix Flora Frank Greta Gustav Hanna Harald Hazel Henrik Hilda Hugo Ida Igor Irene Ivan
    Jasper Johan Judith Karin Klara Konrad Lars Laura Leif Linus Lydia Magnus Marta Matilda Miles Mona Nadia
    Niels Nora Olga Oscar Otto Paula Petra Quentin Ralf Rosa Rupert Ruth Sigrid Silas Simon Stella Sven Sylvia
    Thea Tobias Ulla Ursula Vera Victor Viola Walter Wanda Wilma Xenia Yvonne Zoe
    """)

_STARTS = each_word("b d f g h j k l m n p r s t v w z br dr fl gr kl pl sk st tr")
_VOWELS = each_word("a e i o u")
_ENDS = ("", "", "l", "m", "n", "r", "s", "t")


def made_up_word(rng: random.Random, syllables: int) -> str:
    """A pronounceable word that means nothing, such as 'brulen': it can be copied but not guessed."""
    body = "".join(rng.choice(_STARTS) + rng.choice(_VOWELS) for _ in range(syllables))
    return body + rng.choice(_ENDS)
