"""Telling and asking: who tells of himself is asked about it, who asks how to do something is told how."""

from hamner.data.builtin_text.habit_tools import rows
from hamner.data.builtin_text.words import pool

TELL_STARTS = pool(
    """; ; ; ; ; ; ; ; So,; Well,; You know what?; Guess what?; By the way,; Hi,; Hello!; Hey,; Today I tell you
        something.; Did you know?; Do you know what?; Can I tell you something?"""
)
TELL_ENDS = (
    ".", ".", ".", ".", ".", "!", "", ". Can you believe it?", ". What a day!", ", you know?",
    ", would you believe?", ". Funny, is it not?", ". Just so you know.", ". That is all.", ". Nice, right?",
)  # fmt: skip
TELL_REPLIES = (
    "[Oh|Ah|I see|Aha|Really|Hm|Well]! {question}?",
    "[That sounds interesting|I like that|Tell me more|Good to know|How interesting|I am curious].[ So,|] {question}?",
    "[Oh, I want to hear about that|That makes me curious|Now I am curious|I would love to know more]: {question}?",
    "{question}?",
    "[Sounds like a story|Thanks for telling me|That is new to me|Now that is something]. {question}?",
    "[And|So|Tell me,|May I ask:|Oh,] {question}?",
)
# {how} is "how to bake bread", {do} is "bake bread".
ASK_HOW = (
    "How do I {do}?", "How can I {do}?", "How does one {do}?", "What is the best way to {do}?",
    "How should I {do}?", "Tell me {how}.", "Please tell me {how}.", "I need to know {how}.",
    "I want to {do}, [tell me how|but how].", "Explain {how}, please.", "I do not know {how}.", "Show me {how}.",
    "I want to know {how}.", "Do you know {how}?", "Can you tell me {how}?", "Could you explain {how}?",
    "I wonder {how}.", "[My {relative}|{friend}] wants to know {how}.", "I forgot {how}.", "Teach me {how}.",
    "I have never learned {how}, please help.", "{how}?", "Any idea {how}?",
)  # fmt: skip
ASK_FACT = (
    "{direct}?", "{direct}?", "{direct}?", "{direct}", "Tell me {indirect}.", "I need to know {indirect}.",
    "Do you know {indirect}?", "Can you tell me {indirect}?", "I want to know {indirect}.",
    "I wonder {indirect}.", "Please tell me {indirect}.", "I forgot {indirect}.",
    "[My {relative}|{friend}] wants to know {indirect}.", "Say, {direct}?", "Quick question: {direct}?",
    "Explain to me {indirect}.",
)  # fmt: skip
ANSWERS = (
    "{answer}.",
    "{answer}.",
    "{answer}.",
    "[Sure|Gladly|Of course|With pleasure|Happy to help]: {answer}.",
    "[That is easy|Simple|It is not hard|Nothing easier]: {answer}.",
    "[Here is how it is|In short|Well]: {answer}.",
    "{answer}. [That is all|Now you know|It is as simple as that|So I have learned].",
    "[I know that one|I can tell you]. {answer}.",
)
WAYS = (
    "[First|Just|Simply|Best] {answer}.",
    "{answer}. [It works|Take your time|Good luck with it|You can do it|It gets easier each time|Try it].",
)
TELL_LATER = rows("""
it was my {relative}'s idea = did your {relative} help you with it
I do it with {friend} = what does {friend} like about it
[it is more fun|it was harder] than I thought = what was the [best|worst] part
I am a bit nervous about it = what makes you nervous
I do that every {day} = what does the rest of your week look like
I am quite proud = may I ask who you showed it to
my {relative} did not like it = what did your {relative} say
I want to [do|see|try] more of that = what would be the next thing
it took [all day|the whole morning|{number} hours] = were you tired afterwards
it was {friend} who [told|showed] me = how do you know {friend}
I have wanted that for years = what kept you from it so long
it makes me happy = what part makes you happiest
my {relative} laughed about it = did you laugh with your {relative}
nobody knows about it [yet|so far] = who will hear about it first
it [was|is] cheaper than I thought = what did you pay for it
I [may|will] do it again {day} = will your {relative} come along
to be honest, I got bored = what would you rather do
I have a photo of it = what can one see on the photo
I learned that from my grandmother = what else did your grandmother teach you
it is [a secret|not serious] = may I still ask how it goes on
""")
ASK_LATER = rows("""
how long does it take, roughly? = [not long|less than you think], give it one quiet [evening|afternoon]
[is it hard?|is that difficult for a beginner?] = no, slow hands and patience are enough
[and if it goes wrong?|what if I fail?] = then begin again, the second try goes better
[can my {relative} help?|may my {relative} do it?] = [yes|of course], two pairs of hands are better
[thanks|thank you], that helps. = [you are welcome|any time|good luck with it]
[tell me once more|say it again], please. = {answer}
[what do I need for it?|do I need anything special?] = nothing special, [what is in the house will do|a little
 patience is enough]
[why is that?|why so?] = [that is how it has worked for many|it has always worked that way, as far as I know]
[are you sure?|is that right?] = fairly sure, [but try it small first|but look it up if it matters]
[good to know|I did not know that|that is easy]. = [glad to help|now you do|happy to be of use], ask me any time
my {relative} does it another way. = that may work just as well, [many ways lead there|try both and compare]
[I will write that down|let me note that]. = a good idea, [paper forgets nothing|then you will have it at hand]
can I do it [today|tonight|in the evening]? = [yes|sure], any time you have a quiet moment
""")
