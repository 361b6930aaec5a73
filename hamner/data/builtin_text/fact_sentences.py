"""Sentences about each kind of entity in `world.py`, attribute by attribute: openings of an article, and the rest.

`{S}` is the subject: the name, a pronoun or "the town". All verbs after it are singular.
"""

SUBJECTS = {
    "town": ("It", "It", "The town", "{name}"),
    "river": ("It", "It", "The river", "The {name}"),
    "mountain": ("It", "It", "The mountain", "{name}"),
    "person": ("{he}", "{he}", "{he}", "{surname}", "{name}"),
    "animal": ("It", "It", "The animal", "The {name}"),
    "plant": ("It", "It", "The plant", "{name}"),
}

OPENINGS: dict[str, tuple[str, ...]] = {
    "town": (
        "{name} is a [small |market |quiet |]town in {region}[, on the {side} bank of the {river}|].",
        "[The town of |]{name} lies beside the river {river}[ in {region}|].",
        "On the {side} bank of the {river}[, in {region},|] lies the town of {name}.",
        "{name}, a town in {region}, [stands on|lies on|was built on] the {side} bank of the {river}.",
    ),
    "river": (
        "The {name} is a river [in {region}|that begins on {source}|of {length} kilometres].",
        "[Among|Of] the rivers of {region}, the {name} is [one of the best known|well worth a visit|a busy one].",
        "The river {name} flows from {source} to {mouth}.",
        "The {name} [begins|rises] on {source}[ in {region}|] and [ends in|flows to] {mouth}.",
    ),
    "mountain": (
        "{name} is a mountain of {height} metres in {region}.",
        "{name} is [one of the mountains of {region}|a mountain made of {rock}|a mountain in {region}].",
        "[Travellers|Visitors] to {region} [soon|often|always] [see|notice] {name}, which is {height} metres high.",
        "In {region} [stands|rises] {name}, a mountain [of {rock}|{height} metres high].",
    ),
    "person": (
        "{name} was a {trade} from {birthplace}.",
        "{name} ({born} to {died}) was a {trade}[ from {birthplace}| who {work} in {work_town}|].",
        "[Few people|Not many] [in {region} |]have forgotten {name}, the {trade} [from {birthplace}|who "
        "{work} in {work_town}].",
        "The {trade} {name} was born in {born}[ in {birthplace}|].",
    ),
    "animal": (
        "The {name} is a {class} [found|that lives] in {region}.",
        "The {name} is a {colour} {class}[ with {second_colour} spots|] of {region}.",
        "In {region}, [people know|there lives|walkers sometimes meet] the {name}, a {class} about the size "
        "of a {size}.",
        "Among the animals of {region} is the {name}, a {class} [about the size of a {size}|that eats {prey}].",
    ),
    "plant": (
        "{name} is a {form} that grows in {habitat}.",
        "{name} is a {form} with {flower} flowers[, common in {region}|].",
        "In {region} [one often finds|there grows|everyone knows] a {form} called {name}.",
        "The {form} called {name} [grows|is found] in the {habitat} of {region}.",
    ),
}

# attribute -> ways to say it; an attribute is left out where the opening has already given its value.
ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "town": {
        "population": (
            "[About|Some|Roughly] {population} people live [there|in {name}].",
            "{S} has [about|some] {population} inhabitants.",
            "The population [of {name} |]is [about|around] {population}.",
        ),
        "founder": (
            "{S} was founded in {founded} by {founder}, a {founder_trade}.",
            "In {founded}, the {founder_trade} {founder} built the first house [there|on this bank of the river].",
            "The founder of {name} was {founder}, a {founder_trade}, who came in {founded}.",
        ),
        "good": (
            "{S} is [best|well|widely] known for its {good}.",
            "Traders carry {good} from {name} to [every part of the country|all the markets of {region}].",
            "[Most|Many] families in {name} live from making and selling {good}.",
        ),
        "landmark": (
            "[In the middle of the town|At its centre|In the main square] stands {landmark}.",
            "Visitors come to see {landmark}.",
            "{S} is proud of {landmark}[, which stands in the main square|].",
        ),
        "market_day": (
            "Market day is {market_day}.",
            "Every {market_day}, [there is a market|farmers bring their goods to the market|the square fills "
            "with stalls].",
            "{S} holds its market on {market_day}.",
        ),
        "festival": (
            "In {festival_month}, [people|the townspeople|young and old] celebrate the {festival}.",
            "The {festival} [takes place|is held] every {festival_month}.",
            "{S} celebrates the {festival} in {festival_month}.",
        ),
        "dish": (
            "The local dish is {dish}.",
            "[Guests|Travellers] are [usually|always|often] served {dish}.",
            "At the inns of {name}, the cook's pride is {dish}.",
        ),
        "neighbour": (
            "The nearest town is {neighbour}, {distance} kilometres away.",
            "{neighbour} is the nearest town, {distance} kilometres down the road.",
            "A road of {distance} kilometres leads to {neighbour}, the nearest town.",
        ),
    },
    "river": {
        "length": ("{S} is {length} kilometres long.", "From end to end, the river measures {length} kilometres."),
        "source": ("{S} rises on {source}.", "Its [source|spring] is [on the slopes of|high on] {source}."),
        "mouth": ("{S} flows into {mouth}.", "[After {length} kilometres|At last], it reaches {mouth}."),
        "colour": ("The water is {colour}.", "[For most of the year|In most places], its water is {colour}."),
        "towns": ("{S} passes {towns}.", "On its way to {mouth}, the {name} passes {towns}."),
        "fish": (
            "[Fishermen|People] catch {fish} and {other_fish} [there|in the {name}].",
            "{S} is [known|good] for {fish}, and {other_fish} are found [too|near the mouth].",
        ),
        "craft": (
            "People travel [on it|on the {name}] in {craft}.",
            "{craft} [are a common sight|carry goods along the river].",
        ),
        "flood_month": (
            "[The highest water comes|Floods come] in {flood_month}.",
            "In {flood_month}, the river often leaves its banks.",
        ),
    },
    "mountain": {
        "height": ("{S} is {height} metres high.", "The summit [lies|is] at {height} metres."),
        "rock": ("{S} [is made|consists] of {rock}.", "The rock [of the mountain |]is {rock}."),
        "climber": (
            "{climber} [was the first to reach|first stood on] the summit, in {climbed}.",
            "The first to climb it was {climber}, in {climbed}.",
            "In {climbed}, {climber} [climbed it for the first time|reached the top, the first person to do so].",
        ),
        "summit": ("On the summit there is {summit}.", "At the top, climbers find {summit}."),
        "snow_month": ("Snow lies near the top until {snow_month}.", "The last snow melts in {snow_month}."),
        "hours": (
            "The climb takes [about |]{hours} hours.",
            "A [good |strong |]walker needs {hours} hours to the top.",
        ),
        "animal": ("The {animal} lives on its slopes.", "On the slopes, [walkers may meet|one may see] the {animal}."),
    },
    "person": {
        "birthplace": (
            "{S} was born in {birthplace} in {born}.",
            "{S} came from {birthplace}[ in {region}|], where {he} was born in {born}.",
        ),
        "died": ("{S} died in {died}, at the age of {age}.", "When {he} died in {died}, {he} was {age} years old."),
        "work": (
            "In {work_year}, {he} {work} in {work_town}.",
            "{S} is remembered in {work_town}, where {he} {work} in {work_year}.",
            "{S} {work} in {work_town}[ in {work_year}|].",
        ),
        "teacher": ("{S} learned the trade from {teacher}.", "{his} teacher was {teacher}."),
        "habit": ("{S} {habit}.", "[People said that|It is said that|Friends remembered that] {he} {habit}."),
        "trade": (
            "{S} worked as a {trade} all {his} life.",
            "[As a {trade}|In {his} trade], {he} had [few equals|many pupils|a good name].",
        ),
    },
    "animal": {
        "size": ("{S} is about the size of a {size}.", "A grown {name} is [about |]as big as a {size}."),
        "second_colour": (
            "{S} is {colour} with {second_colour} [spots|marks].",
            "[Its colour is|In colour it is] {colour}, with {second_colour} spots.",
        ),
        "habitat": ("{S} lives in {habitat}.", "[Its home is|One finds it] in {habitat}."),
        "prey": (
            "{S} eats {prey} and the {plant}.",
            "Its food is {prey} and, [in summer|in some years|when it can], the {plant}.",
        ),
        "active": ("{S} is active {active}.", "[It looks for food|One sees it mostly] {active}."),
        "young": (
            "In {young_month}, the female has {young} young.",
            "The young, usually {young}, are born in {young_month}.",
        ),
        "sound": ("{S} makes {sound}.", "Its voice is easy to know: it makes {sound}."),
        "winter": ("In winter, it {winter}.", "When the cold comes, the {name} {winter}."),
    },
    "plant": {
        "height": (
            "{S} grows [up to|about] {height} centimetres high.",
            "A full-grown plant [reaches|measures] {height} centimetres.",
        ),
        "flower": ("{S} has {flower} flowers.", "Its flowers are {flower}."),
        "month": ("{S} flowers in {month}.", "The flowers open in {month}."),
        "habitat": ("{S} grows in {habitat}.", "It likes {habitat}."),
        "use": ("[Its|The] {part} are used for {use}.", "[People|The people of {region}] use the {part} for {use}."),
        "taste": (
            "The {part} taste {taste}.",
            "[Everyone|Anyone] who has tried the {part} knows that they taste {taste}.",
        ),
        "animal": (
            "The {animal} [eats it|hides beneath it|visits its flowers].",
            "[Where it grows, one may see the|It is visited by the] {animal}.",
        ),
        "region": ("{S} is [common|often found] in {region}.", "One finds it [all over|in much of] {region}."),
    },
}

# Says why the next paragraph is about something else; the paragraph's own opening follows.
BRIDGES: dict[str, tuple[str, ...]] = {
    "town": ("", "", "[More can be said about|A word about] {name}.", "And what of {name}?"),
    "river": ("", "", "A word about the {name}.", "And what of the {name}?"),
    "mountain": ("", "", "[More can be said about|A word about] {name}."),
    "person": ("", "", "[Who was|And who was] {name}?"),
    "animal": ("", "", "What [kind of animal |]is the {name}?"),
    "plant": ("", "", "What is {name}?", "A word about {name}."),
}
