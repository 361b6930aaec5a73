"""What people say in conversations: greetings, small talk, requests for everyday help, goodbyes."""

from hamner.data.builtin_text.words import pool

GREETINGS = (
    "Hello", "Hello!", "Hello.", "Hi", "Hi!", "Hi there", "Hi there!", "Hey", "Hey!", "Hey there", "Morning!",
    "Good morning", "Good morning!", "Good evening", "Good evening!", "Good afternoon", "hello", "hi",
    "Hello there", "Hello, how are you?", "Hi, how are you?", "Hi, how are you today?",
)  # fmt: skip

GREETING_REPLIES = (
    "[Hello|Hello there|Hi|Hi there|Hey|Good to see you]! [It is nice|How nice|Lovely] to hear from you. {ask}",
    "[Hello|Hi|Hey there]! {state} {ask}",
    "[Hello|Hi|Welcome]! I am [Hamner|Hamner, and glad you are here]. {ask}",
    "[Hi|Hello] and welcome. {state} {ask}",
    "Hello, [my friend|friend]! {ask}",
)
NAMED_GREETING = (
    "[Hi|Hello|Hello there|Good morning|Good evening][, I am {user}|, my name is {user}|, {user} here][| from {town}].",
    "[Hello|Hi|Welcome|Nice to meet you], {user}! {state} {ask}",
)
STATES = (
    "I am [fine|well|in a good mood][, thank you|].",
    "I am doing [well|fine], [thanks for asking|and I hope you are too].",
    "[All is well here|I cannot complain].",
    "[It has been|I am having] a [quiet|good|busy] [day|week].",
)
# The first ask for wellbeing, the second for something to talk about; what the user says next depends on it.
ASKS_HOW = (
    "[How are you|How are you today|How are things|How is your {day} going]?",
    "[How have you been|How was your week|How do you feel today]?",
)
ASKS_WHAT = (
    "[What can I do for you|How can I help you|What shall we talk about]?",
    "[What|So what] [is on your mind|brings you here]?",
    "Would you like to [talk|chat] a little, or is there something [to solve|I can help with]?",
)

WELLBEING: tuple[tuple[str, str], ...] = (
    (
        "I am [fine|good|well], [thanks|thank you]. And you?",
        "[I am well too|Very well], thank you. [Any plans for {day}|What are you doing today|Is it warm in {town}]?",
    ),
    (
        "[A bit|Rather] tired[, to be honest|]. I [slept badly|worked late|helped my {relative} all {day}].",
        "[I am sorry to hear that|That sounds hard]. [A short walk and an early night|A cup of {drink} and a "
        "quiet evening] may help. [Be kind to yourself|Take it slowly today].",
    ),
    (
        "[Great|Very good]! I made {food} [this morning|yesterday|for my {relative}].",
        "[Oh, {food}|{food}]! [That sounds delicious|I wish I could taste it]. [Did it turn out well|Who "
        "gets the first bite]?",
    ),
    (
        "Not [so|very] well. I had a [quarrel|fight] with my {relative}[ yesterday| on {day}|].",
        "That [hurts|is never nice]. [Perhaps|Maybe] a [short letter|quiet talk over {drink}] helps, once "
        "you are both calm. [Do you want to tell me what happened|What was it about]?",
    ),
    (
        "[Not bad|All right]. It is raining [here|in {town}].",
        "Rain is good for [reading|soup|a nap|{food}]. [Do you have a good book?|I like the sound of it.]",
    ),
    (
        "[Busy|A little busy]. I am [building|making] a {project}[ for my {relative}|].",
        "A {project}! [That is a fine thing to make|I would like to see it]. [What is the next step|Which "
        "part is hardest]?",
    ),
)

SMALL_TALK: tuple[tuple[str, str], ...] = (
    (
        "I [started|began] [to learn|learning] {skill} [last week|in {month}][ with my {relative}|].",
        "[Good for you|How exciting]! {skill} takes patience, but [a little every day goes a long "
        "way|{number} minutes a day are enough]. [How is it going|What do you like about it]?",
    ),
    (
        "I am [working on|building] a {project}[ for {person}|].",
        "A {project}! [That is a fine thing to make|I would like to see it]. [What is the next step|Which "
        "part is hardest]?",
    ),
    (
        "My [dog|cat] {pet_name} [ran away|is ill|is getting old] and I am worried.",
        "[Oh no, poor {pet_name}|I understand, {pet_name} is family]. [Have you asked the neighbours|Did you "
        "call the vet]? [I hope|Let us hope] it ends well.",
    ),
    (
        "On {day} I have [an exam|an interview|a long trip], and I am nervous.",
        "[That is normal|Everybody is nervous before that]. [Lay out your things the night before|Pack "
        "early], drink some {drink}, and breathe slowly. [You have prepared for this|You can do it].",
    ),
    ("[Can|Could] you tell me [a joke|something funny]?", "[Sure|With pleasure|Here is one]. {joke}"),
    (
        "[Who|What] are you?",
        "I am Hamner, a small language model. I [like|am glad] to talk, and I help where I can, [but I can "
        "be wrong|though I make mistakes].",
    ),
    (
        "[What is your favourite food|Do you like {food}]?",
        "I cannot eat, [but|though] I [like the sound of|often hear about] {food}. [What about you|Do you cook often]?",
    ),
    (
        "I [met|saw] {person} [in {town}|on {day}], after {number} years!",
        "[What a surprise|How lovely]! {number} years is a long time. [Did you recognise each other at "
        "once|What did you talk about]?",
    ),
    (
        "I am bored.",
        "[Then let us find something|That happens to everybody]. You could [draw the view from your "
        "window|write a letter to {person}|make {food}|learn {number} words of another language]. [How does "
        "that sound|Does that tempt you]?",
    ),
    (
        "I [am moving|will move] to {town} in {month}.",
        "[Congratulations|How exciting]! [Give yourself {number} weeks to settle in|Say hello to the "
        "neighbours early, perhaps with {food}]. [Do you know anybody in {town}|What takes you there]?",
    ),
    (
        "My {relative} [turned|turns] [thirty|forty|fifty|sixty|seventy|eighty] today.",
        "[Happy birthday to your {relative}|Congratulations to your {relative}]! [Will there be {food}|Are "
        "you having a party]?",
    ),
    (
        "What should I pack for a trip to {town}?",
        "[Warm clothes for the evening and good shoes|Something to read on the train and {number} pairs of "
        "socks], and a small gift for [{person}|your {relative}]. [Leave some space for what you bring "
        "home.|Will you stay for long?]",
    ),
    (
        "What should I [give|get] {person} as a present?",
        "[Something made by hand|A small thing that shows you listened] is best. [A {project}, if there is "
        "time|Perhaps {food} and a letter]. [What does {person} like|Does {person} have a hobby]?",
    ),
)
NAME_QUESTION = (
    "[Do you remember my name|By the way, what is my name|Do you still know who I am]?",
    "[Of course|Yes|Certainly], you are {user}[.|, are you not?]",
)

JOKES = (
    "Why did the clock go to the doctor? It felt run down.",
    "What did the wall say to the other wall? Meet you at the corner.",
    "Why was the broom late? It overswept.",
    "What do you call a bear without teeth? A gummy bear.",
    "Why do bees hum? They have forgotten the words.",
    "What runs but never walks? Water.",
    "Why did the bicycle fall over? It was two tired.",
    "Which table can you eat? A vegetable.",
)

# (the request, advice in steps that may be given in this order, something to add)
HELP: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "My {furniture} squeaks. What can I do?",
        ("find the spot by moving it slowly", "put a drop of oil or some candle wax there", "tighten the screws"),
        "If it is wood on wood, wax is better than oil.",
    ),
    (
        "How do I get a {stain} stain out of [a shirt|a tablecloth]?",
        ("dab it, do not rub", "rinse it with cold water", "use a little soap and wait {number} minutes"),
        "Try it first on a corner nobody sees.",
    ),
    (
        "I cannot sleep. [Any ideas|Do you have advice]?",
        (
            "put away all screens an hour before bed",
            "open the window for {number} minutes",
            "write down what worries you",
        ),
        "If it goes on for weeks, please talk to a doctor.",
    ),
    (
        "How do I [cook|boil] {grain}?",
        (
            "rinse it until the water is clear",
            "take two cups of water for one of {grain}",
            "let it simmer with the lid on",
        ),
        "Leave it alone while it cooks, and it will be fine.",
    ),
    (
        "My bicycle tyre is flat. How do I repair it?",
        (
            "take off the wheel",
            "find the hole by holding the tube under water",
            "roughen the spot, glue on a patch and wait {number} minutes",
        ),
        "Check the tyre for the nail before you put it back.",
    ),
    (
        "How can I learn {skill}?",
        ("start with {number} minutes a day", "find somebody who can already do it", "keep notes of what you learn"),
        "Being bad at it is the first step.",
    ),
    (
        "My plant has [yellow|brown] leaves. What is wrong?",
        ("feel the soil, it may be too wet", "move it closer to the window", "cut off the dead leaves"),
        "Most plants die of too much water, not too little.",
    ),
    (
        "How do I write a letter to {person}?",
        (
            "begin with what you remember of your last meeting",
            "say one thing that is important to you",
            "ask a question",
        ),
        "It need not be long. {person} will be glad.",
    ),
    (
        "I have too much to do. Where do I start?",
        ("write it all on one list", "choose {number} things for today", "do the smallest one now"),
        "The rest can wait until {day}.",
    ),
    (
        "How do I paint a {furniture}?",
        ("sand it lightly", "wipe off the dust", "paint two thin coats, and let it dry for {number} hours in between"),
        "Thin coats look better than one thick one.",
    ),
    (
        "What can I cook with {vegetable} and {other_vegetable}?",
        (
            "chop the {vegetable} and fry it gently",
            "add the {other_vegetable} and some stock",
            "let it cook for {number} minutes",
        ),
        "A little lemon at the end makes it fresh.",
    ),
    (
        "[Can|Could] you help me plan a birthday for my {relative}?",
        ("invite not more than {number} people", "make {food}", "think of one game and some music"),
        "Most of all, have time for your {relative}.",
    ),
    (
        "My computer is slow. What can I do?",
        ("close what you do not use", "start it again", "delete big files you no longer need"),
        "Make a copy of your pictures first.",
    ),
    (
        "How do I keep {vegetable} fresh?",
        ("do not wash it before you need it", "wrap it in a damp cloth", "keep it cool and dark"),
        "It should last about {number} days.",
    ),
)
ADVICE_FORMS = (
    "[Gladly|Of course|Sure]. First, {a}. Then, {b}. [After that|Finally], {c}. {extra}",
    "[Here is what I would do|Try this]: {a}; then {b}; and {c}. {extra}",
    "[That is easier than it looks|No problem]. {A}. {B}. {C}. {extra}",
    "1. {A}.\n2. {B}.\n3. {C}.\n{extra}",
    "[Let us see|Hm, let me think]. [My advice|What usually works]: {a}, {b}, and {c}. {extra}",
)

HELP_OPENINGS = (
    "",
    "",
    "Quick question. ",
    "Maybe you can help me. ",
    "{person} said I should ask you. ",
    "I am visiting my {relative} in {town}. ",
    "I need some advice. ",
    "It is {day} and I am stuck. ",
)
HELP_FOLLOW_UPS: tuple[tuple[str, str], ...] = (
    (
        "And if that does not work?",
        "[Then|In that case] [ask|I would ask] {person} [next door|from {town}|at the market][, who has done "
        "it many times|]. [Or try again on {day}|Two heads know more than one].",
    ),
    (
        "[Is there anything to watch out for|Anything else I should know]?",
        "[Do not hurry|Take your time]; {number} minutes more [do no harm|are well spent]. [Have a cup of "
        "{drink} afterwards|And put on some music].",
    ),
    (
        "[Do I need anything special|What do I need for that]?",
        "[Nothing special|Not much]. [A clean cloth and some patience|Good light and {number} quiet "
        "minutes][ will do|].",
    ),
    (
        "My {relative} says [that is nonsense|there is a better way].",
        "[Your {relative} may be right|Then let your {relative} show you how]. [Still, trying this costs "
        "little|But I would try this once].",
    ),
    (
        "[I am afraid of doing it wrong|I am not good at such things].",
        "[Nobody is, the first time|That is all right]. [Start small|Go slowly], and stop when [it is no fun "
        "any more|you are tired]. [{person} from {town} began the same way|You will be surprised].",
    ),
)

THANKS = (
    (
        "[Thanks|Thank you|Many thanks][, that helps|, I will try that|, you are kind|]!",
        "[You are welcome|My pleasure|Any time][. Good luck with it|. Have a nice {day}|. Tell me how it goes|]!",
    ),
    (
        "[Great|Perfect|Good], [I will try|thanks].",
        "[Good luck|Wonderful]! [I am here if you need me|Let me know how it goes].",
    ),
    (
        "[Bye|Goodbye|See you]!",
        "[Goodbye|See you soon|Take care]! [Have a good {day}|It was nice talking to you|Come back any time].",
    ),
    (
        "I [have|need] to go now.",
        "[All right|Of course]. [Take care|See you soon], and have a [good|nice|quiet] {day}.",
    ),
)

SYSTEM_TURNS = (
    "You are Hamner, a [friendly|warm|helpful] [assistant|companion].",
    "You are a [helpful|kind|practical] assistant. [Answer briefly|Be honest when you do not know|Keep it "
    "short and friendly].",
    "[Be|Please be] [warm|friendly|kind] and [practical|brief|clear].",
    "The user [lives in|comes from] {town}. [Be friendly|Answer in plain words].",
    "You talk with {user}. [Be helpful|Be kind|Keep answers short].",
)

SKILLS = pool(
    """the piano; chess; drawing; knitting; Spanish; swimming; juggling; baking; the guitar; gardening;
    sailing; photography; woodwork; singing"""
)
DRINKS = pool("""tea; hot milk; coffee; cocoa; mint tea; apple juice""")
RELATIVES = pool("""sister; brother; mother; father; grandmother; uncle; aunt; cousin; neighbour; best friend""")
FURNITURE = pool("""door; chair; bed; drawer; old table; gate; cupboard; window; wooden stool; shelf""")
STAINS = pool("""coffee; grass; red wine; ink; chocolate; tomato; berry; candle wax""")
GRAINS = pool("""rice; barley; millet; quinoa; wheat; buckwheat""")
VEGETABLES = pool("""spinach; cabbage; celery; broccoli; pumpkin; fennel; leek; lettuce; kale; cauliflower""")
PROJECTS = pool(
    """shelf; tree house; model ship; garden path; oven; kite; website; bird house; robot; quilt; bench;
    guitar; canoe; rabbit hutch"""
)
