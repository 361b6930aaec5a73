"""Facts of everyday life for short questions (question answering): what belongs to what, and how one asks for it."""

from typing import NamedTuple


class Relation(NamedTuple):
    """One kind of fact."""

    ways: tuple[str, str, str]  # of asking; the last one is never trained on
    facts: str  # subject-answer pairs


RELATIONS = (
    Relation(
        ("What sound does a {s} make?", "How does a {s} sound?", "When a {s} calls, what is heard?"),
        "cow-moo dog-bark cat-meow duck-quack sheep-baa lion-roar snake-hiss bee-buzz frog-croak owl-hoot pig-oink "
        "wolf-howl mouse-squeak horse-neigh crow-caw rooster-crow pigeon-coo turkey-gobble donkey-bray sparrow-chirp",
    ),
    Relation(
        ("What is a young {s} called?", "How do people call the baby of a {s}?", "A {s} has young: what is one named?"),
        "kangaroo-joey goat-kid deer-fawn bear-cub swan-cygnet goose-gosling eel-elver hare-leveret eagle-eaglet "
        "salmon-parr butterfly-caterpillar seal-pup hen-chick ox-calf mare-foal ewe-lamb toad-tadpole fox-kit",
    ),
    Relation(
        ("Where does a {s} work?", "What is the place of work of a {s}?", "To meet a {s} at work, where does one go?"),
        "baker-bakery nurse-hospital farmer-field judge-court sailor-ship miner-mine cook-kitchen librarian-library "
        "pilot-cockpit monk-monastery actor-stage chemist-laboratory soldier-barracks gardener-garden priest-church "
        "waiter-restaurant clerk-office blacksmith-forge astronomer-observatory brewer-brewery",
    ),
    Relation(
        ("What colour is {s}?", "Which colour does {s} have?", "If one paints {s}, what colour is needed?"),
        "snow-white grass-green blood-red coal-black butter-yellow chocolate-brown ash-grey lavender-purple "
        "milk-white moss-green soot-black rust-orange ivory-white emerald-green ruby-red sapphire-blue",
    ),
    Relation(
        ("What does one do with a {s}?", "What is a {s} used for?", "Somebody takes a {s}: what comes next?"),
        "knife-cutting pen-writing broom-sweeping needle-sewing spade-digging oven-baking bed-sleeping "
        "brush-painting saw-sawing kettle-boiling telescope-observing ruler-measuring razor-shaving drum-drumming "
        "ladder-climbing net-fishing bicycle-cycling scale-weighing",
    ),
)
