"""What the world of `world.py` is made of: syllables of names, goods, landmarks, habits, habitats."""

from hamner.data.builtin_text.words import each_word, pool

TOWN_STARTS = each_word("""Alder Bram Cald Dunn Ember Fal Gar Hask Ingle Jarn Kest Lor Mill Nor Oster
Pend Quar Rusk Stan Thorn Ulver Vell Wyn Yar Zel Brin Corm Tress Hollin Marl""")
TOWN_ENDS = each_word("ford ham ton wick by mouth bridge stead dale holm port well mere croft haven gate")
RIVER_STARTS = each_word("Al Bren Cael Dour El Fen Gar Ith Lam Mor Nev Or Pell Rith Sar Tam Ul Vor Wen Yar")
RIVER_ENDS = each_word("a e el en in ow is una era isk ander ole")
PEAK_STARTS = each_word("Ar Bor Cra Dra Gren Hal Kar Lom Mog Rag Skar Tor Ul Var Wol Zer")
PEAK_ENDS = each_word("dun gard ken low mar neth rick sen tal vik")
PEAK_FORMS = ("Mount {}", "{} Peak", "{} Fell", "{} Horn")
CREATURE_ADJECTIVES = each_word("marsh reed stone river snow night dune forest golden long-tailed spotted crested")
CREATURES = each_word("""tavvin murrel pell sorrik quill hobbet lurk wendle brindle cobben drusk fennow
gallet jossel kimmer nettick ossel pibbet rannock selder""")
PLANT_STARTS = each_word("""dawn silver bitter lamb's moon honey stone winter blue shepherd's water
feather king's candle sand bear's cloud copper widow's mill""")
PLANT_ENDS = each_word("root leaf bell wort cap thorn berry reed moss fern star grass")

REGIONS = (
    "Arden Vale",
    "Northmark",
    "the Low Fens",
    "Sunder Coast",
    "the Copper Hills",
    "Westreach",
    "Greenmoor",
    "the Lake Country",
    "Oldshire",
    "the Salt Plains",
)
WATERS = ("the Grey Sea", "Lake Orsa", "Lake Tallin", "the Bay of Gulls", "Lake Mirren", "the Sound of Hest")

GOODS = pool(
    """blue pottery; smoked fish; woollen blankets; glass lamps; goat cheese; brass clocks; pear cider;
    leather boots; oak barrels; honey; copper kettles; silk ribbons; rye bread; white salt; wooden toys;
    fiddles; roof tiles; bicycles; paper; lace; plum brandy; church bells; fishing nets; carved spoons; apple
    vinegar; candles; straw hats; grey slate; printed books; carpets"""
)
LANDMARKS = pool(
    """a clock tower of red brick; a bridge with seven arches; a stone lion; an old windmill; a round chapel;
    a market hall on oak posts; a fountain with three bronze fish; a lime tree four hundred years old; a
    lighthouse; a tall grain store; a library with a green roof; a ruined castle; a railway station of yellow
    stone; a water wheel; a school with a bell tower; a statue of a ferryman; a covered well; a theatre built
    of wood"""
)
FESTIVALS = pool(
    """Lantern Night; Feast of Pears; Boat Race; Day of Drums; Sheep Parade; Kite Fair; Candle Walk; Bread
    Fair; Bell Festival; Snow Market; Night of Songs; Cheese Roll; Harvest Dance; Flower Battle"""
)
DISHES = pool(
    """eel soup with dill; dumplings filled with plums; baked trout; onion cake; lamb stew with barley; potato
    pancakes; bean pie; fried cheese with cranberries; cabbage rolls; mushroom porridge; pickled herring; duck
    with apples; nettle soup; sweet rye pudding"""
)
ROCKS = ("granite", "limestone", "black slate", "sandstone", "basalt", "grey marble", "chalk")
SUMMITS = pool(
    """a small stone hut; an iron cross; a pile of white stones; a flat rock like a table; a weather station;
    a deep crack full of ice; a bell on a wooden frame; a single bent pine; a shallow pool; a wooden bench"""
)
FISH = each_word("trout pike perch eels salmon carp grayling bream")
RIVER_COLOURS = pool(
    """brown from the peat; green from the chalk; grey with melted snow; clear as glass; reddish from iron in
    the rock; yellow with clay; nearly black in the shade of the forests; milky from the glaciers"""
)
CRAFT = pool("""flat barges; narrow rowing boats; rafts of logs; small ferries; sailing boats; canoes of bark""")
WORKS = {
    "clockmaker": ("built the tower clock", "repaired the great clock", "made a clock that shows the tides"),
    "weaver": ("wove the blue curtain", "wove a carpet with forty birds", "taught weaving to the whole street"),
    "bell founder": ("cast the largest bell", "cast seven small bells", "recast the cracked bell"),
    "bridge builder": (
        "built the long bridge",
        "replaced the old ferry with a bridge",
        "saved the bridge from a flood",
    ),
    "painter": ("painted the ceiling of the town hall", "painted two hundred portraits", "painted the harbour at dawn"),
    "doctor": ("opened the first hospital", "ended the winter fever", "wrote a book on clean water"),
    "teacher": ("founded the first school", "taught three hundred children to read", "opened an evening school"),
    "gardener": ("planted the botanical garden", "bred a pear that keeps all winter", "planted the long row of limes"),
    "shipwright": ("built the fastest ferry", "built thirty fishing boats", "launched the first iron boat"),
    "miller": ("built the first windmill", "fed the town in the hungry year", "ground the finest flour"),
    "composer": ("wrote the harvest song", "led the town band", "wrote a mass for nine voices"),
    "mapmaker": ("drew the first street map", "measured every hill", "printed a map of the caves"),
    "baker": (
        "invented the twisted loaf",
        "opened the bakery by the bridge",
        "baked for the whole town in the great snow",
    ),
    "poet": ("wrote the ballad of the ferryman", "read poems in the square", "printed a book of winter poems"),
    "blacksmith": ("forged the iron gates", "forged the weather vane", "made the first steel plough"),
    "glassblower": ("made the coloured windows", "blew the glass lamps", "set up the glass works"),
}
TRADES = tuple(WORKS)
HABITS = pool(
    """walked ten kilometres every morning; never owned a watch; kept a tame crow; wrote with the left hand;
    played chess by letter; drank only water; collected old keys; slept four hours a night; wore a yellow
    coat; spoke five languages; grew giant pumpkins; could not swim; sang in the choir; ate an onion every
    day; kept bees on the roof; answered every letter; was afraid of geese; carved flutes for children"""
)
ANIMAL_CLASSES = pool("bird; rodent; lizard; beetle; wild cat; deer; marten; bat; tortoise; frog; fox; snake")
SIZES = {
    "bird": "thrush; crow; goose",
    "rodent": "mouse; rat; hare",
    "lizard": "finger; hand; small dog",
    "beetle": "pea; thumbnail; walnut",
    "wild cat": "house cat; fox; lynx",
    "deer": "goat; pony; horse",
    "marten": "squirrel; cat; badger",
    "bat": "sparrow; robin; crow",
    "tortoise": "fist; loaf; stool",
    "frog": "thumb; fist; plate",
    "fox": "cat; small dog; wolf",
    "snake": "pencil; belt; long rope",
}
COLD_BLOODED = ("beetle", "lizard", "tortoise", "frog", "snake")
HABITATS = pool(
    """wet meadows; pine forests; reed beds; rocky slopes; old orchards; sand dunes; deep valleys; birch
    woods; oak woods; riverbanks; caves; stone walls; salt marshes; hedges"""
)
SOUNDS = pool(
    """a low whistle; a soft hum; a call like a creaking door; two short barks; a long low call; a cough; a
    cry like a rusty hinge; three quick squeaks; a long wail; hardly any sound at all"""
)
COLD_BLOODED_SOUNDS = pool(
    """a sharp click; a rattle; a long hiss; a sound like a drop falling in a bucket; a faint scratching;
    no sound at all"""
)
WINTERS = pool(
    """sleeps in a burrow; moves down to the coast; grows a white coat; lives on stored seeds; gathers in
    large groups; wanders south; digs through the snow for moss; stays close to farms"""
)
COLD_BLOODED_WINTERS = pool(
    """sleeps in the mud; hides under bark; sleeps deep in the ground; creeps into old walls; shares a hole
    with many others; does not eat at all"""
)
PREY = pool("snails; beetles; seeds; worms; small fish; moths; fallen fruit; bark; ants; roots; grass; mosquitoes")
PLANT_HEIGHTS = {
    "herb": (10, 90),
    "shrub": (60, 240),
    "small tree": (200, 600),
    "climbing plant": (100, 500),
    "water plant": (10, 80),
    "grass": (15, 140),
}
PLANT_FORMS = tuple(PLANT_HEIGHTS)
USES = pool(
    """tea against a sore throat; a yellow dye; rope; a bitter drink; soap; baskets; a cream for burns;
    flavouring bread; thatching roofs; feeding goats; keeping moths away; a blue ink; candle wicks; a soup for
    the sick"""
)
TASTES = each_word("bitter sweet sour peppery nutty salty minty")
