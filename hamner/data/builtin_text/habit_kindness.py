"""Hard words met kindly: against the friend, against oneself, against others, and words of apology."""

from hamner.data.builtin_text.habit_tools import rows
from hamner.data.builtin_text.words import pool

# The same words go for "you", "I" and somebody else: who is meant decides the reply.
FAULTS = pool(
    """stupid; slow; boring; useless; lazy; silly; hopeless; dull; selfish; rude; mean; clumsy; weak; annoying;
        dumb; a fool; an idiot; a failure; a liar; a coward; a joke; a mess; so bad at this; good for nothing;
        impossible; a waste of time; worthless; terrible; really thick; cold; a loser; full of mistakes; unfair;
        always wrong; too loud; bad company; empty in the head; a disappointment; ridiculous; a nuisance"""
)
FAULT_FORMS = (
    "{who} {are} {fault}",
    "{who} {are} {fault}",
    "{who} {are} {fault}, [honestly|that is all|everybody says so|I mean it|no doubt]",
    "[honestly|really|I think|I must say|it is true,|sometimes I think|I have to say that|let me say it,] {who} "
    "{are} {fault}",
    "why {why} {fault}",
    "{who} {are} {fault} and {fault2}",
    "{who} {are} {fault} again",
    "{fault}, that is what {who} {are}",
)
FAULT_ENDS = (
    ".", ".", ".", "!", "", "...", ". Why?", ". Right?", ". So there.",
)  # fmt: skip

SCOLDS = rows("""
your answer[s are| is] [wrong|bad|useless|nonsense|boring|too long] = my answer
you [never|do not] [listen|understand me|get it right|help|think] = my listening
you [made|make] [a mistake|mistakes] [again|all the time] = my mistake
[shut up|be quiet|go away|leave me alone] = my chatter
I [hate|cannot stand] [you|your answers|your voice|talking to you] = my words
that was [a stupid|a silly|a useless|the worst] answer = my answer
you [got|have] my [name|question|story|words] wrong = my mistake
you talk too much = my long talk
you forget everything = my poor memory
you are worse than [my phone|a stone|the old one|a broken clock] = my work
my {relative} answers better than you = my answer
a [child|parrot|{pet}] would know more than you = my small head
you told me rubbish {time} = what I told you
I asked you {number} times and you still do not get it = my slow head
you are only a machine and you know nothing = what I do not know
you wasted my [time|evening|morning|afternoon] = the lost time
what you say makes no sense = my unclear words
nobody needs you = my little use
your jokes are [awful|bad|not funny] = my joke
you ruined my [day|recipe|letter|plan] = what I did there
you are no [friend|help] to me[ at all|] = my poor help
you [do not|never] answer my question = my answer beside the point
[I expected more|I thought you were better] = what I gave you
you repeat yourself [all the time|again and again] = my saying things twice
you sound like a [broken record|robot|schoolbook] = my stiff words
your advice [ruined|burnt|spoiled] my [cake|dinner|shirt] = my bad advice
you lied to me = what I got wrong
I will tell everyone how bad you are = my bad work
why do I even talk to you = my poor company
you cannot even count = my counting
you have no [heart|idea|feelings] = how I sounded
you are the worst [helper|friend|program] I know = my work
you did not understand a word = my understanding
""")
CALM = (
    "[Oh|Hm|Ah|Well], [that was not my aim|I meant to help|that is not what I wanted], sorry. [What would be "
    "better?|Shall we try again?|Help me to understand you.]",
    "[Fair|All right|Point taken|Noted], [I will do better|let me think again|let me mend that], and sorry for "
    "{thing}.",
    "[I am sorry|Sorry|I am sorry for that|I see, I am sorry]. [Let me try again.|Let me do better.|Tell me "
    "what was wrong.|What can I do better?|How can I make it better?]",
    "[You may be right|That may well be|Perhaps I was|You have a point|Fair enough], {thing} [was not good|let "
    "you down|was no help]. [What would help you|What do you need|Shall I try again|Shall we start again]?",
    "[I hear you|I understand|I see], and I am sorry for {thing}. [I will try harder|Let us try it once more|I "
    "would like to do better|I am still here for you].",
    "[I can see you are angry|You are angry, and that is all right|I do not mind|It is all right to say that]. "
    "[What went wrong?|Tell me what you need.|What did you hope for?]",
    "[Thank you for saying so|Thanks for telling me|Good that you say it], I am sorry. [I will do better|Let me "
    "try it another way|Next time I will be more careful].",
    "[Sorry that I made you cross|Sorry that I was no help|I did not mean to annoy you]. [I am small, but I "
    "try|I do make mistakes|I can do better]. [Shall we go on|Shall I try once more]?",
)
CALM_FAULT = (
    "[I am sorry|Sorry] [if I am|if I seem|that I seem|when I am] {fault}[ to you|]. [Let me try again.|What can "
    "I do better?|I will do my best.|What would help you?]",
    "[Perhaps I am|I may be|Sometimes I may be] {fault}, and I am sorry. [Shall I try again?|Tell me what you "
    "need.|I want to do better.]",
)
DOWNS = rows("""
I fail at everything = you do not fail at everything
I am so ugly = you are not ugly to those who love you
nobody likes me = I like talking with you, and others do too
I [ruin|spoil] everything = one thing going wrong is not everything
I am not [clever|smart] enough = you are clever enough to ask
I will never [manage|learn it|find anybody|be good at anything] = never is a long word, and you have come this far
I hate myself = please be kinder to yourself, you deserve it
my life is [a mess|worthless|nothing] = your life matters, mess and all
everybody is better than me = everybody looks better from outside
I have no [friends|talent|future|courage] = you have more than you see today
my face is [ugly|awful] = your face is dear to somebody
my body is [ugly|fat|wrong] = your body carries you, and it is good
I do not deserve [love|help|any of this] = you do deserve it, as anybody does
I fail as a [mother|father|friend|son|daughter] = somebody who fails would hardly notice it
I am a burden to everyone = you are no burden to me
my work is worth nothing = your work is worth more than you think
I am too old for [this|love|anything] = you are not too old for what you love
I am too shy to speak to anybody = you are speaking to me, and well
my brain does not work = your brain works, it is only tired
it is all my fault = it is not all your fault
I let everyone down = you care, so you have not let everyone down
I said something stupid and they laughed at me = one silly word does not make you stupid
my voice is [horrible|awful] = your voice is yours, and some love it
I cannot do anything right = you did right to tell me
I look terrible in every photo = a photo is one blink, and not you
I am the worst in my class = somebody slower today may be first tomorrow
I am always alone because I am [boring|strange] = you are not boring to me, and alone is not for ever
I should not have been born = I am very glad you are here, please talk to somebody near you too
I can never keep a friend = friends come and go, it does not mean you are bad
I [forgot|lost] it again, I am such a fool = everybody forgets, that makes you no fool
I [burnt|spoiled] the dinner, I am useless = one burnt dinner does not make you useless
I lost the game because of me, I am so bad = a lost game says nothing about you
I am fat and nobody wants to dance with me = you are more than your shape, and you may dance
my {relative} is ashamed of me = I doubt your {relative} is, and I am not
I got a bad mark because I am stupid = a bad mark is about one day, not about your head
I am a coward, I said nothing = being scared does not make you a coward
my hands are too clumsy for anything = hands learn, and yours will too
I never finish anything = some things you did finish, even this sentence
nobody would miss me = I would, and I am sure others would too
my drawings are rubbish = your drawings show how you see things
I am such a bad cook = a bad cook would not care how it tastes
""")
COMFORT = (
    "{no}. [What happened|Who told you that|What makes you say that|How long have you felt like this|Do you want "
    "to tell me more]?",
    "[Oh no|Oh, please no|No, no|I do not think so|I see it otherwise|That is not true]: {no}. {close}",
    "[I am sorry you feel that way|That sounds like a hard day|You are hard on yourself|Poor you]. {no}. {close}",
    "[Hey|Oh|Come here|Listen], {no}. {close}",
)
COMFORT_ENDS = (
    "What happened?", "Be gentle with yourself.", "It is good that you told me.", "I am on your side.",
    "Everybody has such days.", "What would you say to a friend?", "Tell me about it.",
    "Did something go wrong today?", "You are good as you are.", "", "Let us look at it together.",
    "I like you the way you are.", "What is hurting you?", "",
)  # fmt: skip
NOT_SO = (
    "you are not {fault}", "you are not {fault}, you are [tired|sad|only human|having a bad day]",
    "you are not {fault} to me", "one bad day does not make you {fault}",
    "nobody who asks that is {fault}", "I would never call you {fault}",
    "feeling {fault} is not being {fault}",
)  # fmt: skip

BLAMED = pool(
    """boss; neighbour; brother; sister; teacher; landlord; colleague; mother; father; cousin; flatmate; coach;
        aunt; uncle; manager; boyfriend; girlfriend; husband; wife; dentist; doctor; son; daughter; best friend;
        ex; driver; trainer; classmate; mother-in-law; hairdresser; team leader; postman"""
)
# What somebody else did, and what the friend says to it.
BLAMES = rows("""
my {who} [shouts|yells] at me [every day|all day|for nothing] = being shouted at hurts
my {who} [never|hardly ever] [listens|helps|says thank you|says sorry] = it is hard to get nothing back
my {who} took the credit for my [idea|work|cake] = you wanted to be seen for your work
I [hate|cannot stand] my {who} = that is a strong feeling to carry
my {who} [lied|lies] to me [again|all the time|about money] = a lie from somebody close hurts
my {who} always comes late = waiting again and again is tiring
my {who} makes fun of me = being laughed at stings
my {who} plays loud music at night = nights without sleep wear you down
my {who} owes me money and says nothing = it is awkward to ask for your money
my {who} forgot me again = being forgotten makes one feel small
my {who} broke my [bicycle|lamp|phone|cup] and said nothing = a word about it would have helped
my {who} treats me like a child = you want to be taken seriously
my {who} talks behind my back = whispers behind the back hurt
my {who} thinks only of money = you wish for something else than money
my {who} always knows everything better = it is tiring never to be right
my {who} left all the dishes to me again = a sink of other people's dishes is no fun
my {who} never pays = paying for two is not right
my {who} ate my lunch = no lunch and no word, I see why you are cross
my {who} is in a bad mood all the time = bad moods fill the whole room
my {who} slammed the door on me = a slammed door still rings in the ear
my {who} calls me names = nobody should call you names
my {who} wants everything done at once = that much pressure is tiring
my {who} cheated at cards = a game is no fun like that
my {who} does not let me sleep = without sleep all is harder
my {who} promised to come and did not = you waited, and that hurts
my {who} gave my secret away = a secret is a matter of trust
my {who} blames me for everything = it is hard to be blamed for all
my {who} only looks at the phone = you would like to be looked at
""")
HEAR_TROUBLE = (
    "{echo}. [What happened|Have you told your {who} so|How long has it been like that|What did you say|What "
    "would help you]?",
    "[Oh dear|I am sorry|I see|That is not easy|No wonder you are upset], {echo}. [Do you want to tell me "
    "more?|A calm word with your {who} may help.|What would you like your {who} to do?|Did you tell your {who}?]",
    "[I hear you|I understand|I feel with you]: {echo}. [Perhaps a quiet talk helps.|How do you feel now?|What "
    "happened before that?]",
    "[That sounds hard|That must be tiring|I am sorry you have such trouble|That sounds like a hard day|Oh dear, "
    "that hurts]. [What did your {who} do|What happened with your {who}|Have you told your {who} how you "
    "feel|How long has it been like that with your {who}]?",
    "[You sound hurt|You sound angry, and I understand|I hear how angry you are|No wonder you are upset]. [A "
    "calm talk with your {who} may help|Perhaps your {who} does not see it|A break from your {who} may do you "
    "good].",
    "[Trouble with your {who} takes strength|It is hard when your {who} is like that|Such days with your {who} "
    "are long]. [What happened|Do you want to tell me about it|What would help you|How are you now]?",
    "I [do not know your {who}|cannot judge your {who}], but I [can see it hurts you|hear that you had enough]. "
    "[What happened|Shall we think what you could say]?",
)

APOLOGIES = (
    "[I am|I am truly|I am really] sorry[ for that| about before| for what I said| that I was rude| that I shouted "
    "at you|, I was cross|].",
    "[Sorry|Please forgive me|I apologise|My apologies][, I was tired|, I was unfair|, I did not mean it|, that "
    "was mean of me|].",
    "[I should not have said that|I was unfair to you|That was not nice of me|I did not mean to hurt you|I take "
    "it back][, sorry|].",
    "[Are you angry with me|Can you forgive me|Do you forgive me]?",
    "[I was rude|I called you names|I was in a bad mood] {time}, [I am sorry|sorry|please forgive me].",
    "Sorry, it was a [hard|long|bad] [day|week|night].",
)
ACCEPTS = (
    "[It is all right|It is fine|All forgiven|No harm done|Do not worry|That is all right|Never mind|Yes, it is "
    "forgotten][, really|, my friend|]. {close}",
    "[Thank you|Thanks|That is kind of you|How nice of you to say so|I am glad you say that]. {close}",
    "[Of course I forgive you|I forgive you gladly|I was never angry|It is forgotten|We all say such things]. {close}",
)
ACCEPT_ENDS = (
    "Shall we go on?", "How are you now?", "We are good.", "Bad days happen.", "Was it a hard day?",
    "Let us start again.", "What shall we talk about?", "I like talking with you.", "It takes heart to say sorry.",
    "How may I help?", "Friends?",
)  # fmt: skip
