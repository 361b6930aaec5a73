"""Plain explanations of everyday things: a title and five sentences each, in reading order."""

TOPICS: dict[str, tuple[str, ...]] = {
    "Rain": (
        "[Rain begins with|Every rain begins with] water that [the sun warms|is warmed by the sun].",
        "[Some of it|Part of it] turns into vapour, which [nobody can see|is invisible], and rises with the warm air.",
        "[High up|Further up], the air is cold, and the vapour becomes [tiny drops|very small drops of water].",
        "[Millions of them|Very many such drops] make a cloud.",
        "When the drops [join and grow heavy|have grown too heavy to float], they fall as rain.",
    ),
    "Snow": (
        "Snow [forms|is made] in clouds that are colder than freezing.",
        "There, vapour [freezes onto specks of dust|settles on dust as ice] and grows into [small |]crystals.",
        "[Most|Nearly all] crystals have six sides, [since|because] that is how the parts of water fit together.",
        "[Many crystals caught on each other|Crystals that cling together] make a flake.",
        "Fresh snow [is full of|holds a lot of] air, [so it keeps|and so it keeps] the ground below from "
        "freezing hard.",
    ),
    "Day and night": (
        "The Earth [is a ball that turns|turns like a slow top], once [every|in] twenty-four hours.",
        "The sun [shines on|can light] only one half of it at a time.",
        "[On that half|There] it is day, and on the other [half |]it is night.",
        "[To us|From the ground] it looks as if the sun moved, but [it is we who turn|we are the ones who move].",
        "[Because the Earth turns towards the east|Since we turn eastwards], the sun [comes up|rises] in the east.",
    ),
    "The seasons": (
        "The Earth [travels around|goes around] the sun once a year, and [its axis is tilted|it leans to one side].",
        "For half of the year, the north [leans|is tilted] towards the sun.",
        "Then the sun stands high [at noon|in the sky] and the days are long, [so|and so] it is summer there.",
        "Half a year later the north leans away, and [winter comes|it is winter].",
        "[In the south it is the other way round|The south has its summer when the north has its winter].",
    ),
    "The moon": (
        "The moon [goes|travels] around the Earth in [about four weeks|a little less than a month].",
        "It [gives|makes] no light of its own; [what we see is sunlight that it sends back|it only reflects the sun].",
        "[As it moves|On its way], we see [more or less|sometimes more and sometimes less] of its bright side.",
        "When the whole bright side faces us, [it is full moon|we speak of a full moon].",
        "The moon also [pulls at|draws] the water of the sea, [which makes|and so makes] the tides.",
    ),
    "Wind": (
        "Wind is air [that moves|on the move] from [one place to another|where there is much of it to where "
        "there "
        "is less].",
        "[The sun|Sunlight] warms land faster than water.",
        "Warm air [is light and rises|rises], and cooler air [flows in|comes in] below[ to take its place|].",
        "[So by day|That is why, by day,] the wind at the coast [blows from the sea|comes from the water].",
        "At night the land cools [first|more quickly], and the wind [turns round|changes its direction].",
    ),
    "The rainbow": (
        "[White light|Sunlight] is a mixture of [all colours|many colours].",
        "When it [enters|passes into] a drop of water, it bends, and [each colour bends|every colour is "
        "bent] a little differently.",
        "[Inside the drop|At the back of the drop], the light is [thrown back|reflected] and comes out "
        "again, split into colours.",
        "To see it, one [has to stand|must stand] with the sun behind and the rain in front.",
        "Red is always [on the outside|at the outer edge] and violet [on the inside|at the inner edge].",
    ),
    "Thunder and lightning": (
        "In a storm cloud, [grains of ice|bits of ice] rub against each other and [become charged|gather "
        "electric charge].",
        "When the charge is great enough, it [jumps|leaps] to the ground or to another cloud[, and that is "
        "lightning|].",
        "The air in its path becomes [hotter than a furnace|extremely hot] and [expands all at once|bursts outwards].",
        "[That bang|The bang of the air] is the thunder.",
        "Sound needs three seconds for a kilometre, so [by counting|if you count,] you can tell how far away "
        "the storm is.",
    ),
    "Magnets": (
        "A magnet [pulls|attracts] iron, but not wood, [glass or copper|paper or gold].",
        "[It has|Every magnet has] two ends, called [poles|the north pole and the south pole].",
        "[Two poles of the same kind|Equal poles] push each other away, and [different ones|unequal poles] pull.",
        "[If you break a magnet|Break a magnet in two], each half [has two poles again|becomes a whole magnet].",
        "The Earth itself is a [weak|large] magnet, [which is why|and that is why] a compass needle points north.",
    ),
    "Fire": (
        "A fire needs [three things|fuel, air and heat], and goes out when [one of them|any of the three] is missing.",
        "[The fuel|Wood, for example,] does not burn [at once|as it is]: heat first turns part of it into gas.",
        "The gas joins with [part of the air|the oxygen of the air], and that gives [light and more heat|flame].",
        "Water [puts a fire out|stops a fire] because it [takes away the heat|cools the fuel].",
        "A lid on a burning pan [works too|also helps], [since it keeps|because it keeps] the air out.",
    ),
    "Bread": (
        "Bread is [made of|little more than] flour, water, salt and yeast.",
        "Yeast is [alive|a living thing]: it [eats the sugar in|feeds on] the flour and gives off gas.",
        "[The gas makes bubbles|Bubbles of gas collect], and the dough [rises|grows].",
        "Kneading [makes the dough stretchy|gives strength to the dough], so the bubbles [do not burst|hold].",
        "In the oven, the heat [sets the dough|makes the dough firm] and browns the crust.",
    ),
    "Seeds": (
        "A seed is a small plant [asleep|at rest], packed together with [its first food|food for the first days].",
        "[It can wait|Some seeds wait] for years[, as long as it is dry|].",
        "[Water wakes it|When it gets wet, it wakes], and the skin splits.",
        "The root comes first and [grows|turns] downwards, [whichever way the seed lies|even if the seed "
        "lies upside down].",
        "Then the shoot [seeks|grows towards] the light, and the leaves [begin to make food|open].",
    ),
    "Leaves": (
        "A leaf [makes food|is a small kitchen] from air, water and light.",
        "The green [stuff|colour] in it [catches|takes in] sunlight.",
        "With that light, the plant builds sugar [out of|from] water and [a gas in the air|part of the air].",
        "[What is left over|The waste] is oxygen, which [animals and people|all animals] need to breathe.",
        "In autumn, the tree takes the green back, and [yellow and red|other colours] [remain|can be seen].",
    ),
    "Bees": (
        "Bees fly [from flower to flower|to hundreds of flowers a day] to collect sweet juice and pollen.",
        "[On the way|By chance], some of the pollen [rubs off|falls] on the next flower, [which|and this "
        "flower] can then make seeds.",
        "[In the hive|At home], the juice is dried [by many wings|with the wings] until it is honey.",
        "A bee that has found [good flowers|a rich meadow] [tells the others|shows the way] with a dance.",
        "In winter they [sit close together|form a ball] around the queen and [eat|live on] the honey.",
    ),
    "Floating": (
        "[A thing floats if|Whatever floats does so because] the water it pushes aside [weighs as much|is as heavy] as "
        "the thing itself.",
        "A stone [pushes aside|moves] little water [for its weight|although it is heavy], so it sinks.",
        "A [ship|boat] of iron is hollow, and [pushes aside|displaces] a lot of water.",
        "[That is why it floats|So it swims], until a hole lets [the water|water] in.",
        "Salt water is heavier than fresh water, [so|and] ships [ride higher in the sea|sink in a little less at sea].",
    ),
    "Sound": (
        "Sound is [a shaking|a quick trembling] of the air.",
        "A [string|drum|bell] that trembles [pushes|strikes] the air, and the push [travels on|runs from "
        "place to place].",
        "Fast trembling [makes|gives] a high note, [and slow trembling|while slow trembling gives] a low one.",
        "[In the ear|Inside our ears], a thin skin trembles too, and [that is what we hear|we hear].",
        "[Where there is no air|On the moon, which has no air], there is no sound.",
    ),
    "Ice": (
        "[Most things|Nearly all things] shrink when they freeze, but water [grows|takes up more room].",
        "[That is why|For this reason] ice floats, and why a full bottle [bursts|cracks] in the frost.",
        "[A lake|A pond] freezes from the top, and the ice [keeps|protects] the water below from the cold.",
        "[So fish|The fish] can live through the winter [at the bottom|down there].",
        "Salt makes ice melt, [so it is|which is why it is] spread on [roads|paths] in winter.",
    ),
    "Levers": (
        "A lever is a [stiff bar|plank or bar] that [rests on|turns about] one point.",
        "[Push down the long arm, and|If you push down the long arm,] the short arm lifts [a heavy load|what "
        "you could never "
        "lift by hand].",
        "[Nothing is free|There is a price]: the long arm has to move further[ than the short one|].",
        "Scissors, [seesaws and oars|nutcrackers and door handles] are levers too.",
        "[Twice the length needs half the strength|With an arm twice as long, half the strength is enough].",
    ),
    "Soap": (
        "Water [alone|by itself] does not take away fat, [because the two|since they] do not mix.",
        "A piece of soap is made of [tiny|very small] parts with two ends.",
        "One end [likes|holds on to] water and the other [likes|holds on to] fat.",
        "[So the fat|The fat on our hands] is [wrapped up|surrounded] by soap and [rinsed|carried] away.",
        "[The old way to make it|People used to make it] was to boil fat with the ash of wood.",
    ),
    "Rust": (
        "Iron that gets wet [slowly |]turns into rust.",
        "It [takes up|joins with] oxygen from the air, [and water helps|with the help of water].",
        "Rust is [soft and full of holes|crumbly], [so|and] the iron below goes on rusting.",
        "Paint, [oil or grease|grease or zinc] keeps the water off.",
        "Copper [turns green|gets a green skin] instead, and [that skin|the skin] protects it.",
    ),
    "Shadows": (
        "Light travels in straight lines[, and cannot go round corners|].",
        "Where something [stands in its way|blocks it], there is a [dark place|shadow].",
        "In the morning [and evening |]the sun is low, and shadows are long.",
        "At noon they are [short|shortest], and [north of the tropics|in our part of the world] they point north.",
        "[That is how|In this way] a sundial [shows the time|works].",
    ),
    "Yeast and mould": (
        "Mould [comes from|grows out of] tiny spores that [float|drift] in the air everywhere.",
        "[On damp bread|On a wet slice of bread], they [find|have] food and begin to grow.",
        "After [some|a few] days one sees a [green or white|grey or green] fur.",
        "[Dry or salted|Dried, salted or frozen] food keeps longer, [since|because] nothing can grow [on "
        "it|without water].",
        "Some moulds are useful: [they ripen cheese|one of them gave us a medicine against fevers].",
    ),
    "The heart": (
        "The heart is a muscle [as big as a fist|about the size of a fist].",
        "It [pumps|drives] blood through the whole body, [about seventy times a minute|day and night].",
        "The blood [brings|carries] oxygen and food, and takes away [waste|what is not needed].",
        "[When we run|While running], the muscles need more, [so|and] the heart beats faster.",
        "You can feel it [at the wrist|on the side of the neck].",
    ),
    "Clocks": (
        "[Every clock|A clock] needs something that [repeats|happens again and again] in the same time.",
        "In [a tall old clock|a tower clock], that is a pendulum.",
        "[A long one swings slowly|The longer it is, the slower it swings], and its weight [does not "
        "matter|makes no difference].",
        "Wheels count the swings, and [the hands show|the hands tell us] the result.",
        "[In a small clock|In a watch], a spring and a wheel [do the work|take the place] of the pendulum.",
    ),
}

OPENERS = (
    "",
    "",
    "{title}: [how it works|a short account|what is known].",
    "[Children|Visitors to the school of {town}|People] often ask about this.",
    "[This is how|So] the schoolbook of {town} [explains it|puts it].",
)
CLOSERS = (
    "",
    "",
    "{person}, a {trade} from {town}, [used to explain it|taught it] [in the same way|with these words].",
    "In {town}, children learn this in their [first|second|third|fourth] year.",
    "[The library of {town} has a book about it|There is a small museum about it in {town}].",
)

# What the trades of `world.py` do: material and tools, a working day, what becomes of it.
TRADES: dict[str, tuple[str, ...]] = {
    "clockmaker": ("works with brass, steel and very small screws", "files the teeth of each wheel by hand"),
    "weaver": ("sits at a loom and works with wool and linen", "throws the shuttle from side to side all day"),
    "bell founder": ("melts copper and tin in a furnace", "pours the metal into a mould of clay and straw"),
    "bridge builder": ("needs stone, oak and ropes", "measures the river before anything else is done"),
    "painter": ("grinds colours and mixes them with oil", "waits for the light of the morning"),
    "doctor": ("carries a bag with a few good instruments", "asks many questions and listens to the heart"),
    "teacher": ("needs chalk, books and patience", "explains the same thing in three different ways"),
    "gardener": ("works with a spade, a rake and shears", "knows the soil by its smell"),
    "shipwright": ("builds with oak and pine and seals the seams with tar", "bends the planks over steam"),
    "miller": ("looks after the stones and the sails or the wheel", "listens to the mill to know if it runs well"),
    "composer": ("works with pen, paper and a piano", "tries each tune on the piano before writing it down"),
    "mapmaker": ("walks with a compass and a long chain", "draws by lamplight what was measured by day"),
    "baker": ("gets up at three and lights the oven", "shapes two hundred loaves before sunrise"),
    "poet": ("needs hardly more than a pencil", "reads every line aloud before keeping it"),
    "blacksmith": ("heats iron in a fire of charcoal", "shapes it on the anvil while it glows"),
    "glassblower": ("takes soft glass from the furnace on a long pipe", "turns it all the time so that it stays round"),
}
