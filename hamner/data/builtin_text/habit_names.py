"""Names in a conversation: how people say who they are and who else there is, and how they ask for it later."""

from hamner.data.builtin_text.words import pool

# {me} is the user; a greeting goes before some of them.
OWN_NAMES = (
    "I am {me}", "my name is {me}", "{me} here", "this is {me}", "it is me, {me}", "this is {me} again",
    "people call me {me}", "my friends call me {me}", "you can call me {me}", "call me {me}", "I am called {me}",
    "just call me {me}", "{me} speaking", "the name is {me}", "here is {me}", "I go by {me}", "it is {me} again",
    "everybody calls me {me}", "{me} is my name", "I am {me}, by the way", "my name is {me}, nice to meet you",
    "I should say that I am {me}", "they named me {me}", "my parents called me {me}",
    "I forgot to say that my name is {me}", "you are talking to {me}", "you may call me {me}",
    "most people know me as {me}", "at work they call me {me}", "I am {me}, we have not met", "it is only me, {me}",
    "{me}, that is me", "I was given the name {me}", "write down that I am {me}", "please remember that I am {me}",
    "my passport says {me}", "I am the one called {me}",
)  # fmt: skip
SIGNED = (
    "signed {me}", "yours, {me}", "greetings, {me}", "{me}", "love, {me}", "best wishes from {me}", "cheers, {me}",
)  # fmt: skip

ROLES = pool(
    """brother; sister; boss; cat; neighbour; friend; dog; teacher; cousin; aunt; uncle; son; daughter;
        colleague; wife; husband; grandmother; grandfather; rabbit; doctor; landlord; flatmate; horse; niece;
        nephew; coach; parrot; best friend; girlfriend; boyfriend; dentist; baby; twin; hamster; roommate; trainer"""
)
OTHERS_ANY = (
    "my {role} {other} [is with me|is asleep|is ill|is tired today|is getting old|is late again]",
    "my {role} is called {other}",
    "I have a {role} called {other}",
    "the name of my {role} is {other}",
    "{other} is my {role}",
    "{other}, my {role}, [is here|is on the way|sits beside me|is happy today]",
    "I live with my {role} {other}",
    "I am [on a walk|at home|in the kitchen|in the park|at the lake] with my {role} {other}",
    "today is the birthday of my {role} {other}",
    "I am waiting for {other}, my {role}",
    "I share a room with {other}, my {role}",
    "I bought a present for my {role} {other}",
    "they call my {role} {other}",
    "I miss my {role}, {other}",
)
OTHERS_SPEAKING = (
    "my {role} {other} [is visiting|made lunch|sends greetings|is on the phone|has the day off]",
    "my {role} {other} [told me about you|says you are kind|thinks you can help]",
    "{other}, my {role}, [says hello|told me to write|gave me your name]",
)

# Another person first, or the user first: which is the user's name must be read, not counted.
INTRODUCTIONS = (
    "{hello}I am {me}, not {other}. {other} is my {role}.", "{hello}{other} is my {role}, and I am {me}.",
    "{hello}{own}. {others}.", "{hello}{own}. {others}.", "{hello}{own}, and {others}.", "{hello}{others}. {own}.",
    "{hello}{others}, and {own}.", "{hello}{others}. And {own}.", "{hello}{others}. Oh, and {own}.",
    "{hello}{own}, {others}.", "{hello}{others}. {signed}", "{others}. {signed}",
)  # fmt: skip
OWN_ONLY = (
    "{hello}{own}.", "{hello}{own}", "{hello}{own}!", "{hello}{own}. {smalltalk}.", "{hello}{smalltalk}. {own}.",
    "{hello}{smalltalk}. {signed}",
)  # fmt: skip
HELLOS = (
    "", "", "", "Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Good morning, ", "Good evening, ", "Hello there. ",
    "Hey there, ", "Good day, ", "Hi again, ", "Morning! ",
)  # fmt: skip
SMALLTALK = (
    "I am new here", "I have a bit of time", "I need some company", "it is [cold|hot|quiet|late|windy] here",
    "I just got home", "I am having {drink}", "the children are asleep", "I have a day off", "I am on the train",
    "I cannot sleep", "I wanted to say hello", "it is my first time here",
    "I am sitting [in the garden|on the sofa|by the window|on the stairs]", "I finished work", "I am early today",
    "the house is quiet",
)  # fmt: skip
DRINKS = pool("tea; coffee; cocoa; soup; a glass of water; breakfast; lemonade; an apple; toast; a sandwich")

MEET_OTHER = (
    "[Hello|Hi|Hey|Welcome|Nice to meet you|Good to see you|Glad to meet you], {me}! [Greetings to {other}|Say "
    "hello to {other}|Say hello to your {role} {other}|And greetings to your {role}|How is your {role}|How is "
    "{other} today].",
    "[Hello|Hi|Hey], {me}. [How nice that you have {other}|I am glad to hear of {other}|Your {role} {other} "
    "sounds nice].",
    "[Nice to meet you|Welcome|Good to see you|A pleasure], {me}. [How are you both|How are you and {other}|What "
    "are you two doing today|How long have you known {other}]?",
    "[Good to know you|I will remember that|Pleased to meet you], {me}[, and your {role} is {other}|]. [What can "
    "I do for you|How are you|What shall we talk about]?",
    "[Ah|Oh], {me}! [I am glad you told me about {other}|Give {other} my best|Tell {other} I said hello].",
)
MEET = (
    "[Hello|Hi|Hey|Welcome|Nice to meet you|Good to see you|Glad to meet you], {me}! [How are you|How is your "
    "day|What is on your mind|What can I do for you|What are you up to|How is the day so far]?",
    "[Welcome|Good to meet you|Nice to have you here|Lovely to hear from you], {me}. [I am Hamner|I am glad you "
    "came|Make yourself at home|Let us have a chat|I have time for you].",
    "{me}, [what a nice name|nice to meet you|good to hear from you|I will remember that]. [How are you|What "
    "shall we talk about|How can I be of use]?",
    "[Ah|Oh|So], {me}! [Good to know|I like that name|Now I know who you are|Nice of you to say hello]. [What "
    "brings you here|How do you do|And how are things]?",
)

ASK_OWN = (
    "What is my name?", "Do you remember my name?", "Do you still have my name?", "Who am I?", "What am I called?",
    "By the way, what is my name?", "Tell me my name.", "Say my name.", "Do you know who I am?", "And my name?",
    "How do people call me?", "Do you recall what I am called?", "Which name did I give you?",
    "What did I say my name was?", "Have you forgotten my name?", "Now tell me who I am.",
    "I bet you forgot my name.",
)  # fmt: skip
SAY_OWN = (
    "[Of course|Yes|Sure|Certainly|I remember]: you are {me}.",
    "You are {me}, I remember.",
    "Your name is {me}.",
    "You are {me}, of course.",
    "[You told me|You said] your name is {me}.",
    "[How could I forget|I have not forgotten], {me}.",
    "I remember you, {me}.",
    "You are {me}[, and we talked a little|, my friend|, and I am glad you are].",
    "You are {me}. [It suits you.|I like that name.|Is that right?]",
    "That is easy: you are {me}.",
)
ASK_OTHER = (
    "How do I call my {role}?", "What is the name of my {role}?", "Do you remember the name of my {role}?",
    "And how do I call my {role}?", "Do you still know my {role}'s name?", "Tell me the name of my {role}.",
    "What was my {role}'s name again?", "How is my {role} called?", "And my {role}, what is the name?",
    "Which name does my {role} have?",
)  # fmt: skip
SAY_OTHER = (
    "Your {role} is called {other}.",
    "[Yes|Sure|I remember|Of course], it is {other}.",
    "{other} is the name of your {role}.",
    "That is {other}, I think.",
    "[You told me|You said] your {role} is {other}.",
    "{other}, [that is what you said|of course, you said so|if I am right].",
    "Your {role}'s name is {other}.",
    "Your {role}? That is {other}.",
)
ASK_WHO = (
    "Who is {other}?", "Do you remember who {other} is?", "Who was {other} again?", "And who is {other}?",
    "Tell me who {other} is.", "Do you know {other}?", "What did I say about {other}?", "Which one is {other}?",
)  # fmt: skip
SAY_WHO = (
    "{other} is your {role}.", "That is your {role}.", "Your {role}, [you told me|as you said|of course].",
    "[You told me|You said] that {other} is your {role}.", "[I remember|Yes|Sure]: that is your {role}.",
    "{other}? That is your {role}.",
)  # fmt: skip
ASK_FRIEND = (
    "What is your name?", "And what is your name?", "What are you called?", "Who are you?", "And you are?",
    "Do you have a name?",
)  # fmt: skip
SAY_FRIEND = (
    "I am Hamner, {me}.",
    "My name is Hamner[, and yours is {me}|, {me}].",
    "I am Hamner[, a small language model|, your friend here]. And you are {me}.",
    "[Hamner|They call me Hamner], {me}. [Nice to meet you|Glad to know you].",
)
OTHER_ONLY = (
    "{hello}{others}.", "{hello}{others}.", "{hello}{others}!", "{hello}{smalltalk}, and {others}.",
    "{hello}{others}. {smalltalk}.",
)  # fmt: skip
MEET_NOBODY = (
    "[Greetings to {other}|Say hello to {other}|My best to {other}|Hello to you and {other}]! [And who are "
    "you|What is your own name|And how are you|How are things with you]?",
    "[How nice that you have {other}|I am glad to hear of {other}|Your {role} {other} sounds nice]. [And you|How "
    "are you two|What are you up to]?",
)
NOT_TOLD_OWN = (
    "[You have not told me your name yet|I do not know your name yet|I cannot know your name|Nobody told me your "
    "name]. [What is it|Will you tell me|What may I call you|How shall I call you]?",
    "[You told me about {other}, not about you|I know {other}, but not you|I heard of your {role}, not of your "
    "own name]. [What is your name|Who are you|Will you tell me yours]?",
    "[Sorry|I am sorry], [I was not told|you did not say|I have not heard your name]. [Tell me, and I will "
    "remember it.|What is your name?]",
)
NOT_TOLD_NAME = (
    "[I do not know|I cannot know that|You have not told me|I have no idea yet]: [what is the name|tell me the "
    "name|what name is it]?",
    "[You have not told me the name|You did not tell me|I was not told], [so I cannot know|so I do not know it]. "
    "[Will you tell me|What is it]?",
)
SAY_THANKS = (
    "[Thanks|Thank you|Many thanks], [that helps|that was kind|you are nice|I feel better].",
    "[Good|Great|Fine], [nice talking to you|thanks for that|I will try].",
    "[I have to go|I must leave|I go to bed] now.",
    "[Bye|See you|Good night][ then|, until tomorrow|, and thanks].",
)
USE_NAME = (
    "[You are welcome|Any time you like|Take care|See you soon|My pleasure|All the best], {me}. [Come back "
    "soon|Be well|Until next time|It was nice to talk].",
    "[You are very welcome|It was my pleasure|Have a nice day|Sleep well and take care|I wish you all the best], "
    "{me}[.|!]",
)
USE_BOTH_NAMES = (
    "[You are welcome|Any time|Take care|See you soon|My pleasure|All the best], {me}. [Say hello to|Greetings "
    "to|My best to|Take good care of] {other}[.|, too.]",
    "[Goodbye|See you both|Until next time|It was nice to talk], {me}[, and greet {other}| and {other}|, and my "
    "best to {other}].",
)
