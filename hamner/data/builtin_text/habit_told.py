"""What a friend can know and cannot: things told in the conversation, things nobody told, and things nobody knows."""

from hamner.data.builtin_text.habit_tools import NUMBERS, rows
from hamner.data.builtin_text.words import DAYS, MONTHS, pool

# What the user tells, the question about it, the answer in the same words, what the friend says when it was not told.
# {v} is a value of the pool of the first column.
TELLABLE = rows("""
colour = my [car|new car] is {v} = what colour is my car = your car is {v} = the colour of your car
colour = my front door is {v} = what colour is my front door = your front door is {v} = the colour of your front door
colour = my bicycle is {v} = which colour does my bicycle have = your bicycle is {v} = the colour of your bicycle
colour = I am wearing a {v} jumper = which jumper am I wearing = you are wearing a {v} jumper = what you wear
colour = my eyes are {v} = what colour are my eyes = your eyes are {v} = the colour of your eyes
colour = my {pet} is {v} = what colour is my {pet} = your {pet} is {v} = the colour of your {pet}
colour = our sofa is {v} = what colour is our sofa = your sofa is {v} = the colour of your sofa
dish = I had {v} for breakfast = what was on my breakfast plate = you had {v} for breakfast = your breakfast
dish = I ate {v} last night = what did I eat last night = you ate {v} last night = your dinner
dish = we have {v} for dinner = what do we have for dinner = you have {v} for dinner = your dinner
dish = my favourite food is {v} = what is my favourite food = your favourite food is {v} = your favourite food
dish = my {relative} cooks {v} today = what does my {relative} cook today = your {relative} cooks {v} today = what
 your {relative} cooks
dish = my {relative} cannot stand {v} = what can my {relative} not stand = your {relative} cannot stand {v} = the
 taste of your {relative}
place = my key is {v} = where is my key = your key is {v} = where your key is
place = I put my purse {v} = where did I put my purse = your purse is {v} = where your purse is
place = I left my wallet {v} = where did I leave my wallet = you left your wallet {v} = where your wallet is
place = my phone is {v} = where is my phone = your phone is {v} = where your phone is
place = the {pet} sleeps {v} = where does the {pet} sleep = the {pet} sleeps {v} = where your {pet} sleeps
place = I hid the present {v} = where did I hide the present = you hid the present {v} = where your present is
place = I parked my bag {v} = where did I park my bag = you parked your bag {v} = where your bag is
day = my exam is on {v} = when is my exam = your exam is on {v} = the day of your exam
day = I see the dentist on {v} = when do I see the dentist = you see the dentist on {v} = your dentist's day
day = my {relative} arrives on {v} = when does my {relative} arrive = your {relative} arrives on {v} = when your
 {relative} arrives
day = I am off on {v} = which day am I off = you are off on {v} = your free day
day = the plumber comes on {v} = when does the plumber come = the plumber comes on {v} = when your plumber comes
day = we fly on {v} = when do we fly = you fly on {v} = the day of your flight
month = my birthday is in {v} = when is my birthday = your birthday is in {v} = your birthday
month = our wedding is in {v} = when is our wedding = your wedding is in {v} = the date of your wedding
month = my holiday starts in {v} = when does my holiday start = your holiday starts in {v} = the dates of your holiday
month = I was born in {v} = in which month was I born = you were born in {v} = when you were born
number = I have {v} children = how many children do I have = you have {v} children = how many children you have
number = my son is {v} years old = how old is my son = your son is {v} years old = the age of your son
number = I live on floor {v} = on which floor do I live = you live on floor {v} = your floor
number = my {pet} is {v} years old = how old is my {pet} = your {pet} is {v} years old = the age of your {pet}
number = my bus leaves at {v} = when does my bus leave = your bus leaves at {v} = the time of your bus
number = we have {v} hens = how many hens do we have = you have {v} hens = how many hens you have
number = my shift ends at {v} = when does my shift end = your shift ends at {v} = the end of your shift
number = I bought {v} apples = how many apples did I buy = you bought {v} apples = what you bought
town = I live in {v} = where do I live = you live in {v} = where you live
town = I was born in {v} = where was I born = you were born in {v} = where you were born
town = my {relative} lives in {v} = where does my {relative} live = your {relative} lives in {v} = where your
 {relative} lives
town = I am going to {v} next week = where am I going next week = you are going to {v} = your plans
town = I met my wife in {v} = where did I meet my wife = you met your wife in {v} = where you met
job = I work as a {v} = what is my job = you work as a {v} = your job
job = my {relative} is a {v} = what is the work of my {relative} = your {relative} is a {v} = the job of your
 {relative}
job = I wanted to be a {v} as a child = what did I want to be as a child = you wanted to be a {v} = your dreams as a
 child
job = the man next door is a {v} = what is the man next door = the man next door is a {v} = the work of your neighbour
hobby = my hobby is {v} = what is my hobby = your hobby is {v} = your hobby
hobby = I am learning {v} = what am I learning = you are learning {v} = what you learn
hobby = my {relative} is good at {v} = what is my {relative} good at = your {relative} is good at {v} = the gifts of
 your {relative}
hobby = I spent Sunday with {v} = how did I spend Sunday = you spent Sunday with {v} = your Sunday
gift = I bought a {v} for my {relative} = what did I buy for my {relative} = you bought a {v} for your {relative} =
 your present
gift = my {relative} gave me a {v} = what did my {relative} give me = your {relative} gave you a {v} = the present you
 got
gift = I lost my {v} = what did I lose = you lost your {v} = what you lost
gift = I want a {v} for my birthday = what do I want for my birthday = you want a {v} for your birthday = your wishes
gift = there is a {v} in my bag = what is in my bag = there is a {v} in your bag = what is in your bag
illness = my {relative} has {v} = what is wrong with my {relative} = your {relative} has {v} = the health of your
 {relative}
illness = I was at the doctor because of {v} = why was I at the doctor = you went because of {v} = why you went there
name = my {pet} is called {v} = how do I call my {pet} = your {pet} is called {v} = the name of your {pet}
name = I am having lunch with {v} = who am I having lunch with = you are having lunch with {v} = your company
name = {v} lives next door = who lives next door = {v} lives next door = your neighbour's name
name = I had a letter from {v} = who wrote me a letter = {v} wrote you a letter = who wrote to you
weather = it is {v} outside = what is the weather like outside = it is {v} outside = the weather at your place
weather = it was {v} all day in our street = how was the weather in our street = it was {v} all day in your street =
 the weather there
number = it is {v} o'clock here = what time is it here = it is {v} o'clock = the time at your place
number = my {relative} gave me {v} coins = how many coins did I get = you got {v} coins from your {relative} = how
 many coins you got
town = {friend} is in {v} today = where is {friend} today = {friend} is in {v} = where {friend} is
hobby = {friend} likes {v} most of all = what does {friend} like most = {friend} likes {v} most = what {friend} likes
job = {friend} wants to be a {v} = what does {friend} want to be = {friend} wants to be a {v} = the wishes of {friend}
colour = I painted the hall {v} = what colour is my hall now = your hall is {v} = the colour of your hall
place = the parcel is {v} = where is the parcel = the parcel is {v} = where your parcel is
day = {friend} calls me on {v} = when does {friend} call me = {friend} calls you on {v} = when {friend} calls
day = I water the plants on {v} = when do I water the plants = you water the plants on {v} = your habits
name = my desk is next to {v} = who sits next to me = {v} sits next to you = who sits by you
""")
POOLS = {
    "day": DAYS,
    "month": MONTHS,
    "number": NUMBERS,
    "weather": pool("rainy; sunny; windy; cold; foggy; hot; stormy; icy; mild; snowy; dry; grey; warm; cloudy; damp"),
    "colour": pool(
        "red; blue; green; yellow; white; black; brown; grey; orange; purple; silver; pink; striped; beige; turquoise"
    ),
    "dish": pool(
        """porridge; pancakes; lentil soup; pasta with tomatoes; fried eggs; rice and beans; toast with honey; fish
        and potatoes; mushroom pie; cheese rolls; noodles; pizza; salad; chicken with rice; leek soup; apple cake;
        dumplings; yoghurt with berries; spinach; tuna sandwiches; pea soup; waffles; cabbage rolls; sausages;
        stuffed peppers"""
    ),
    "place": pool(
        """on the kitchen table; under the bed; in the blue bowl; in the hall; on the window sill; in the car; behind
        the sofa; in my coat pocket; next to the phone; on the piano; in the cellar; under the stairs; on top of
        the fridge; in the shed; beside the bath; in the top drawer; on the balcony; in the laundry basket; under
        the mat; at the office"""
    ),
    "town": pool(
        """Lisbon; Oslo; Leeds; Hamburg; Naples; Krakow; Boston; Lima; Nairobi; Osaka; Delhi; Cairo; Dublin; Bergen;
        Porto; Vienna; Toronto; Sydney; Tunis; Ghent; Zagreb; Tampa; Accra; Seoul; Graz; Bristol; Malmo; Izmir;
        Quito; Hanoi"""
    ),
    "job": pool(
        """baker; nurse; carpenter; teacher; bus driver; gardener; cook; farmer; plumber; tailor; pilot; librarian;
        postman; painter; waiter; firefighter; hairdresser; fisherman; builder; vet; dancer; cleaner; judge;
        miller; lifeguard"""
    ),
    "hobby": pool(
        """chess; knitting; pottery; rowing; fencing; painting; Spanish; the violin; gardening; juggling; archery;
        singing; baking; photography; woodwork; table tennis; sailing; bird watching; the drums; climbing; judo;
        crosswords; sewing"""
    ),
    "gift": pool(
        """watch; scarf; kite; teapot; chess set; lamp; cookbook; hammock; globe; puzzle; torch; blanket; purse;
        vase; wallet; ring; notebook; umbrella; flute; bicycle bell; compass; hat; basket; drum; candle holder;
        radio; thermos; doll"""
    ),
    "illness": pool(
        "the flu; a cough; a bad tooth; a fever; an ear infection; hay fever; a swollen knee; a rash; a migraine"
    ),
}
TELL_FORMS = (
    "{a}.", "{a}.", "{a}", "Look, {a}.", "Just so you know, {a}.", "You should know that {a}.", "Remember, {a}.",
    "I can tell you that {a}.", "By the way, {a}.", "Well, {a}.", "{a}, that much I can say.",
    "Keep in mind that {a}.", "So {a}.", "Hello! {a}.", "Hi, {a}.", "You know, {a}.",
)  # fmt: skip
TELL_TWO = (
    "{a}, and {b}.", "{a}. {b}.", "{a} and {b}.", "{a}. And {b}.", "Let me tell you: {a}, and {b}.",
    "{a}. Besides, {b}.", "Well, {a}, {b}.", "{a}. Oh, and {b}.", "{a}, {b}, that is all.",
)  # fmt: skip
HEARD = (
    "[Good to know|I see|All right|Noted|Thank you|Thanks for telling me|Got it|Okay|Nice|I will keep that in "
    "mind]. {more}",
    "[Ah|Oh|Well], [good to know|I did not know that|thanks for telling me|now I know]. {more}",
)
HEARD_MORE = (
    "Anything else?", "Tell me more, if you like.", "I will remember it.", "What else is on your mind?",
    "And how are you?", "Is there more?", "I am listening.", "How is the rest of your day?", "What are you up to?",
    "I like to hear such things.",
)  # fmt: skip
BETWEEN = rows("""
[it is nice weather here|the sun is out] = [enjoy it|then go outside a little], sun is good for you
I just made tea = tea is always a good idea, which one?
[I am a bit tired|I slept badly] = then rest a little, you are allowed to
the {pet} wants out = better open the door for the {pet}
[wait, there is the phone|one moment, the door] = of course, I am waiting
I am back = welcome back, all well?
my {relative} says hello = how kind, greet your {relative} from me
it is [late|early] here = then let us keep it short
I am looking out of the window = what do you see out there?
[what a week|it was a long day] = I hope it gets easier from here
the {pet} is [snoring|playing|hiding] = what a life your {pet} has
I am [peeling potatoes|doing the dishes|folding shirts] = then talk to me while your hands are busy
there is a rainbow = how lovely, can you see the end of it?
the [postman|milkman|baker] just rang = I hope it was something nice
I am [listening to the radio|humming a tune] = what kind of music do you like?
my {relative} is cooking = I hope it smells good in the whole house
I need a [blanket|hot drink|snack] = get it, I will wait for you
the bus is coming = do not miss the bus because of me
I have been thinking = thinking is good, about what?
a fly sits on my [nose|screen|bread] = flies have no manners
my tea is ready = enjoy it while it is hot
[let us talk about something else|enough of that] = gladly, what do you have in mind?
I have to [water the flowers|feed the {pet}] later = I can remind you, if you ask me again
it smells of [rain|bread|smoke] here = smells tell a lot, where does it come from?
""")
QUESTION_FORMS = (
    "{q}?", "{q}?", "{q}?", "{q}", "By the way, {q}?", "Tell me, {q}?", "Now, {q}?", "And {q}?",
    "Do you remember: {q}?", "Let me test you: {q}?", "Say, {q}?", "{q}, do you know?", "One question: {q}?",
    "So {q}?",
)  # fmt: skip
KNOWN = (
    "{a}.",
    "{a}.",
    "{a}.",
    "[You told me|You said that|As you told me,|I remember:|You said] {a}.",
    "[Of course|Yes|Sure], {a}.",
    "{a}[, you said|, as you told me|, if I heard you right|, I remember that].",
)
NOT_TOLD = (
    "[Hm|Well|Oh|Ah], [nobody told me|you have not told me|you have not said] {what}. {offer}",
    "[Only you know|Nobody but you knows] {what}, [I was not told|it was never said here]. {offer}",
    "[If only I knew|Good question|No idea|Who knows], [I was not told|you have not said|nobody told me] {what}. "
    "{offer}",
    "I [do not know|cannot know] {what}, [you have not told me|nobody told me]. {offer}",
    "[You have not told me|Nobody told me|I was never told] {what}. {offer}",
    "[I do not know that one|I have no way to know|Sorry, I cannot know that|I wish I knew, but I do not]. {offer}",
    "I [cannot|do not] know, because you [have not told me|did not say]. {offer}",
    "[I am sorry|Sorry], only you know {what}. {offer}",
)
OFFERS = (
    "Will you tell me?", "Tell me, and I will remember.", "", "What is it?", "Can you give me a hint?",
    "I would like to know, though.", "You could tell me.", "Do you remember it yourself?",
)  # fmt: skip

# Nobody could tell: the question, and the friend's own reason. A question may end in a full stop.
UNKNOWABLE = rows("""
[how will the weather turn out on {day}?|tell me if it rains on {day}.] = I cannot look at the sky or a forecast = A
 weather report can tell you
what time is it [now|where I am]? = I have no clock to look at = A phone nearby will know
what is the date today? = I have no calendar here = Look at a newspaper or your phone
will I pass my exam? = nobody can see that before = But I hope so, have you learned for it?
does my club win on {day}? = no one knows a match before the end = Let us hope together
[who will win the lottery|what are the winning numbers]? = the lottery tells nobody = Keep your money for cake
will it snow at Christmas? = winter has not told me = We can hope for it
when will I [marry|get married]? = the future is closed to me = Is there somebody you think of?
will I get the job? = that decision is not mine to see = I keep my fingers crossed
how long will I live? = nobody knows that, and I least of all = May it be long and good
will my {relative} get well? = I cannot see what comes = I hope so with you
what is my {relative} thinking? = I cannot look into anybody's head = You could ask your {relative}
does {friend} like me? = I do not know what {friend} feels = What does {friend} say?
is {friend} angry with me? = I cannot feel what {friend} feels = A kind question may clear it
why did {friend} not call? = I cannot know the reasons of {friend} = Call {friend} and ask
what does my boss think of me? = your boss never talked to me = Perhaps ask for a short talk
does my {pet} love me? = I cannot see into your {pet} = But a {pet} that comes to you says a lot
what is my {pet} doing now? = I cannot see your {pet} from here = Go and look, and tell me
can you hear that noise? = I have no ears = What does it sound like?
can you hear me sing? = I hear nothing, I only read = What are you singing?
what song is playing here? = I hear no music = Does anybody near you know?
how do I look? = I have no eyes to see you = I am sure you look fine
does this dress suit me? = I cannot see the dress = How do you feel in it?
what am I holding in my hand? = I cannot see your hand = Give me a clue
what is behind me? = I see only words = Turn round and tell me
who is at the door? = I cannot see your door = Ask before you open
is my soup salty enough? = I cannot taste it = Try a small spoon of it
does the milk smell bad? = I have no nose = Smell it, and pour it away if in doubt
is the water warm enough? = I cannot feel water = Dip in your elbow
how many fingers am I holding up? = I cannot see your fingers = Shall I guess?
is the light on in my kitchen? = your kitchen is out of my sight = Have a look, to be safe
did I lock the door? = I was not there = Better go and check
did I turn off the stove? = I cannot see your stove = Please go and look
is my car still parked outside? = I cannot look outside = A glance from the window helps
how much is left in my [account|purse|wallet]? = I have no look into your money, and that is good = Your bank can
 tell you
what is my [phone number|password|address]? = you never gave it to me = Keep it safe, too
how many letters are in my letter box? = I cannot open your letter box = Go and see, perhaps a nice one
what did I dream last night? = your dreams are yours alone = Do you remember a piece of it?
what did I do {time}? = I was not with you {time} = Tell me about it
what was I going to say? = I cannot read thoughts = Go back to the room where you thought of it
what am I thinking of? = I cannot read your mind = Tell me, I am curious
what number am I thinking of? = your thoughts are hidden from me = Give me three guesses
what will my {relative} say? = I do not know your {relative} that well = What do you fear?
what did my {relative} whisper? = I heard nothing of it = Ask again, kindly
is it raining [outside|there]? = I have no window = Put out a hand and see
how is {friend} today? = I have not heard from {friend} = A short message would please {friend}
where is {friend} right now? = I cannot know where {friend} is = Have you tried to call?
how tall is {friend}? = I never met {friend} = Stand back to back and compare
what is {friend}'s secret? = secrets of {friend} are not known to me = And that is as it should be
what does my grandmother's house look like? = I have never seen it = Describe it to me
what is in the parcel? = I cannot look inside a parcel = Open it and tell me
is there life after death? = nobody came back to tell me = What do you believe?
will prices fall next year? = nobody knows that for sure = Plan with a little to spare
who will be president in fifty years? = that is far in the dark = Perhaps a child of today
when does my train come? = I cannot see the board = The station screen shows it
is the shop on my street open? = I do not know your street or the hours = A short call will tell you
how many people are in your town? = I live in no town = And how big is yours?
what is my neighbour cooking? = I cannot smell through walls = Does it smell good?
do my shoes match? = I see no shoes = Hold them to the light
is the baby asleep? = I cannot hear the baby = Listen softly at the door
how will the election end? = nobody has counted the votes yet = Vote, and then we will see
which horse will win the race? = I cannot see the finish before the start = Do not bet the rent
is my letter already there? = I cannot follow your letter = The post office can trace it
what is written on my wall? = I have no view of your wall = Read it to me
what does my perfume smell like? = I cannot smell anything = Is it flowers or wood?
is my tea cold by now? = I cannot feel your tea = A sip will show you
does {friend} miss me? = the heart of {friend} is closed to me = Ask, perhaps {friend} waits for it
what does {friend} want for a birthday? = I never spoke with {friend} = What makes {friend} laugh?
will my plants survive the winter? = that depends on a winter I cannot see = Cover them with straw, to be safe
am I ill? = I cannot examine you = A doctor can, what do you feel?
is this mushroom safe to eat? = I cannot see the mushroom, and a guess is dangerous = Show it to somebody who knows
how much will houses cost in ten years? = prices that far off are hidden = Nobody honest can say
who took my pen? = I did not see anyone = Look under the papers first
what is my sister's favourite song? = I do not know your sister's taste = Let her sing it to you
how was my day? = I did not see your day = Tell me, how was it?
where will I work in a year? = a year is a long way to see = Where would you like to be?
did the neighbours move out? = I do not see your neighbours = Ring the bell and find out
what colour is the sky over your house? = I have neither house nor sky = What colour is it at yours?
""")
UNKNOWN = (
    "[Hm|Ah|Well|Oh], {why}, [so I do not know|so I cannot say]. {help}.",
    "[Who knows|If only I knew|No idea|Good question|That is more than I know]: {why}. {help}.",
    "[My honest answer|The truth is that I do not know|Not even a guess]: {why}. {help}.",
    "I [do not know|cannot know that|cannot tell|cannot say], {why}. {help}.",
    "[Sorry|I am sorry], {why}. {help}.",
    "[That I cannot know|I wish I knew|I do not know|I have no way to know]: {why}. {help}.",
    "[To be honest|Honestly|I must admit|Sadly], {why}, so I do not know. {help}.",
    "{why}, [so I cannot tell|so I cannot know|sorry]. {help}.",
)
