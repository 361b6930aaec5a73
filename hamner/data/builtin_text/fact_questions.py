"""Questions about the entities of `world.py` and short answers, attribute by attribute: (how to ask, how to answer).

`{it}`, `{him}` and `{his}` in a question are the entity's name at first and pronouns in a follow-up; answers
say the same as the articles.
"""

Question = tuple[tuple[str, ...], tuple[str, ...]]

QUESTIONS: dict[str, tuple[Question, ...]] = {
    "town": (
        (
            ("Where is {it}?", "In which region is {it}?"),
            ("{name} is in {region}, on the {side} bank of the {river}.",),
        ),
        (("How many people live in {it}?", "How big is {it}?"), ("About {population} people live in {name}.",)),
        (
            ("Who founded {it}?", "When was {it} founded[, and by whom|]?"),
            ("{name} was founded in {founded} by {founder}, a {founder_trade}.",),
        ),
        (("What is {it} known for?",), ("{name} is best known for its {good}.", "For its {good}.")),
        (
            ("What is there to see in {it}?",),
            ("You should see {landmark}.", "There is {landmark}, which is worth the walk."),
        ),
        (("When is market day in {it}?",), ("On {market_day}.", "The market in {name} is every {market_day}.")),
        (
            ("Is there a festival in {it}?", "What do people celebrate in {it}?"),
            ("In {festival_month} they celebrate the {festival}.", "Yes, the {festival}, every {festival_month}."),
        ),
        (("What should I eat in {it}?",), ("Try {dish}, the local dish.", "The local dish is {dish}.")),
        (
            ("Which town is nearest to {it}?",),
            (
                "{neighbour}, {distance} kilometres away.",
                "The nearest town is {neighbour}, {distance} kilometres down the road.",
            ),
        ),
    ),
    "river": (
        (("Where does {it} begin?", "Where is the source of {it}?"), ("The {name} rises on {source} in {region}.",)),
        (("Where does {it} end?", "What does {it} flow into?"), ("It flows into {mouth}.",)),
        (("How long is {it}?",), ("The {name} is {length} kilometres long.", "It measures {length} kilometres.")),
        (("What can one catch in {it}?",), ("Mostly {fish}, and {other_fish} near the mouth.",)),
        (("What colour is the water of {it}?",), ("The water is {colour}.",)),
        (("When does {it} flood?",), ("Usually in {flood_month}.", "The highest water comes in {flood_month}.")),
    ),
    "mountain": (
        (("How high is {it}?",), ("{name} is {height} metres high.", "The summit is at {height} metres.")),
        (("Where is {it}?",), ("{name} is in {region}.",)),
        (("Who climbed {it} first?",), ("{climber} was the first to reach the summit, in {climbed}.",)),
        (("How long does it take to climb {it}?",), ("A good walker needs {hours} hours.", "About {hours} hours.")),
        (("What is at the top of {it}?",), ("On the summit there is {summit}.",)),
        (("What kind of rock is {it} made of?",), ("It is made of {rock}.", "{name} is made of {rock}.")),
        (("When does the snow melt on {it}?",), ("The last snow melts in {snow_month}.",)),
    ),
    "person": (
        (("When was {it} born?", "Where was {it} born?"), ("{name} was born in {birthplace} in {born}.",)),
        (("When did {it} die?",), ("In {died}, at the age of {age}.",)),
        (
            ("What is {it} remembered for?", "What did {it} do?"),
            ("{name}, a {trade}, {work} in {work_town} in {work_year}.",),
        ),
        (
            ("Who taught {him} the trade?", "Who was {his} teacher?"),
            ("It was {teacher}.", "{name} learned the trade from {teacher}."),
        ),
        (("Do you know anything odd about {him}?",), ("Well, people said that {he} {habit}.",)),
    ),
    "animal": (
        (("What does {it} look like?",), ("It is {colour} with {second_colour} spots, about the size of a {size}.",)),
        (("Where does {it} live?",), ("It lives in the {habitat} of {region}.", "In {habitat}, mostly in {region}.")),
        (("What does {it} eat?",), ("It eats {prey} and the {plant}.",)),
        (("When can one see {it}?",), ("It is active {active}.",)),
        (("What sound does {it} make?",), ("It makes {sound}.",)),
        (("How many young does {it} have?",), ("Usually {young}, born in {young_month}.",)),
        (("What does {it} do in winter?",), ("In winter, it {winter}.",)),
        (("What kind of animal is {it}?",), ("The {name} is a {class} of {region}.",)),
    ),
    "plant": (
        (("What kind of plant is {it}?",), ("{name} is a {form} with {flower} flowers.",)),
        (("When does {it} flower?",), ("It flowers in {month}.",)),
        (("What is {it} used for?",), ("People use the {part} for {use}.",)),
        (("Where does {it} grow?",), ("It grows in {habitat}, for example in {region}.",)),
        (("How does {it} taste?",), ("The {part} taste {taste}.",)),
        (("How tall is {it}?",), ("It grows about {height} centimetres high.",)),
    ),
}

QUESTION_STARTS = ("", "", "", "", "Tell me: ", "Maybe you know this. ", "I have a question. ", "My {relative} asks: ")
FOLLOW_UP_STARTS = ("", "", "And ", "Thanks. ", "Interesting. ", "I see. ", "One more question. ", "Good to know. ")
ANSWER_STARTS = ("", "", "", "", "Good question. ", "Gladly. ", "Sure. ", "I know this one. ", "Of course. ")
ANSWER_ENDS = (
    "",
    "",
    "",
    "",
    " Would you like to know more?",
    " Anything else?",
    " Ask me more if you like.",
    " I hope that helps.",
)
