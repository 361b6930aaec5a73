"""News that people tell a friend, good, bad and small: the warm replies to them, with what can go well or go wrong."""

from hamner.data.builtin_text.habit_tools import PETS, RELATIVES, rows
from hamner.data.builtin_text.words import pool

NEWS_STARTS = pool(
    """; ; ; ; ; ; ; ; Well,; So,; You know,; Listen,; I have news.; Guess what.; Hi.; Hello,; Hey,; I must tell
        you something.; You will not believe it.; It is true,; Just so you know,; Today of all days,"""
)
# The same stops after good news and bad, or the stop alone would tell which reply is right.
NEWS_ENDS = (
    ".", ".", ".", ".", "!", "!", "", "...", ". I wanted you to know.", ". Can you believe it?",
)  # fmt: skip

GLAD = (
    "[Oh|Wow|Hey|Ah|Well], [that is wonderful|how lovely|that is great|how good to hear|that makes me glad]!",
    "[Wonderful|Lovely|Great|Hooray|Congratulations|Well done|How nice|Fantastic|Splendid|Bravo]!",
    "[I am so glad|I am happy for you|That makes me smile|I am really pleased|What good news|What a joy]!",
    "[Good for you|Good news indeed|You make my day|I like hearing that|That is the best news today].",
    "[Yes|Oh yes]! [I am glad|Brilliant|Good news at last].",
)
SORRY = (
    "[Oh no|Oh dear|Ah, no|Oh], [I am truly sorry|that is sad|that hurts|that is hard|I am sorry to hear that].",
    "[I am sorry|I am truly sorry|I am very sorry|That is bad news|That must hurt|How sad|How awful|Poor you].",
    "[That is really hard|I feel for you|My heart goes out to you|That is a blow|What a pity|That is tough].",
    "[I wish I could help|I wish it were otherwise|I can see why that hurts|That would upset anybody].",
)
PITY = (
    "[Oh|Ugh|Ah|Oh dear|Hm], [I know that feeling|that is no fun|poor you|what a day|that is annoying].",
    "[That sounds tiring|That is a nuisance|How annoying|Some days are like that|I am with you|That is no fun].",
    "[I hear you|I feel with you|Fair enough|That would bother me too|Not nice at all].",
)
GLAD_ENDS = (
    "", "", "", "", "Enjoy it.", "You have earned it.", "Are you celebrating?", "How do you feel now?",
    "Who did you tell first?", "Tell me more.", "How did it happen?", "I am happy with you.", "What comes next?",
    "That calls for cake.", "You must be so happy.", "Keep that feeling.",
)  # fmt: skip
SORRY_ENDS = (
    "", "", "", "", "I am here for you.", "Do you want to talk about it?", "How are you now?",
    "Is somebody with you?", "Be gentle with yourself.", "Take your time.", "Tell me more, if you like.",
    "You are not alone with it.", "What would help you now?", "It is all right to be sad.",
    "Shall we talk a little?", "Do you have company tonight?",
)  # fmt: skip
PITY_ENDS = (
    "", "", "", "Take a short rest.", "Have a cup of tea.", "It will pass.", "Shall we chat a little?",
    "How long has it been like this?", "Tomorrow will be better.", "Tell me about it.", "I will keep you company.",
    "Does anything help?", "Put your feet up a moment.",
)  # fmt: skip

# What can go well or badly with the same thing: slot, good news, its reply, bad news, its reply.
FAMILIES = rows("""
thing = I [found|have found] my {thing} again = your {thing} is [back|found][ at last|] = I [lost|have lost] my
 {thing} = [losing a {thing}|a lost {thing}] is [hard|a real nuisance]
thing = my {thing} [works again|is repaired] = a {thing} that works again is [worth a lot|a relief] = my {thing}
 [broke|is broken] = a broken {thing} is [the last thing you need|bad luck]
thing = the police found my stolen {thing} = nobody kept your {thing} from you = [somebody stole my {thing}|my {thing}
 was stolen] = it is [mean|awful] to have a {thing} stolen
thing = I [got|bought] a new {thing} {time} = a new {thing} is [a treat|something to enjoy] = I dropped my {thing} and
 it is [ruined|in pieces] = what a pity about your {thing}
thing = my {relative} gave me a {thing} = a {thing} from your {relative} is a [fine|kind] present = my {relative}
 [ruined|lost] my {thing} = your {relative} surely did not mean to, but a {thing} is a {thing}
who = my {who} is [well again|cured|out of hospital|better] = your {who} is [well|healthy] again, what a relief = my
 {who} is [ill|very sick|in hospital|not well] = I hope your {who} gets well soon
who = my {who} came home {time} = your {who} is home, where [you want to have|you need] your {who} = my {who} [ran
 away|left] {time} = I hope your {who} comes back [soon|safely]
who = the operation of my {who} went well = your {who} has made it through = the doctor says my {who} will not get
 better = you love your {who}, so this is heavy
who = my {who} can walk again = your {who} on the move again, how good = my {who} had an accident = I hope your {who}
 is not in pain
pet = my {pet} had babies {time} = a {pet} with babies, how sweet = my {pet} [died|is dead] = losing a {pet} is losing
 a friend
pet = [we|I] got a {pet} {time} = a {pet} in the house is a new friend = I had to give away my {pet} = giving away a
 {pet} breaks the heart
relative = my {relative} had a baby {time} = a new baby in the family, all the best to your {relative} = my {relative}
 [died|passed away] {time} = you loved your {relative}, and that love stays
relative = my {relative} [found work|got a job] = your {relative} has a job now = my {relative} [was fired|lost the
 job] = losing a job is hard on your {relative} and on you all
relative = my {relative} is [getting married|engaged] = a wedding for your {relative} = my {relative} is getting
 divorced = a divorce is hard for your {relative} and for you
relative = my {relative} [called|wrote] after a year of silence = hearing from your {relative} after so long is a gift
 = my {relative} [does not talk to me|will not speak to me] any more = such a silence from your {relative} hurts
relative = my {relative} and I made up {time} = peace with your {relative} is worth gold = I had a [fight|quarrel]
 with my {relative} = a quarrel with your {relative} stays in the stomach
relative = my {relative} [remembered|thought of] my birthday = your {relative} thought of you = my {relative} forgot
 my birthday = a forgotten birthday stings, even from your {relative}
relative = my {relative} is coming to visit = your {relative} will be so glad to see you = my {relative} moved far
 away = your {relative} will be missed
exam = I passed [my|the] {exam} = you passed the {exam}, all that work paid off = I failed [my|the] {exam} = one
 {exam} does not say what you are worth
exam = I got the best mark in the {exam} = top of the {exam}, [you can be proud|well earned] = I slept through my
 {exam} = missing the {exam} like that is bitter, but ask for a second date
exam = my {relative} passed the {exam} = tell your {relative} I am proud about the {exam} = my {relative} failed the
 {exam} = be good to your {relative}, the {exam} can be taken again
wanted = I got the {wanted} = the {wanted} is yours = I did not get the {wanted} = you hoped for the {wanted}, of
 course it hurts
wanted = they [chose|want] me for the {wanted} = they saw how good you are for the {wanted} = they gave the {wanted}
 to somebody else = somebody else with your {wanted}, that is hard to watch
gathering = the {gathering} is going ahead after all = so there is a {gathering} to look forward to = the {gathering}
 is cancelled = you looked forward to the {gathering}
gathering = the {gathering} was [lovely|perfect|a success] = a {gathering} to remember = the {gathering} went
 [wrong|badly] = all that work for the {gathering}, and then this
gathering = I am invited to the {gathering} = you and the {gathering}, that will be fun = nobody invited me to the
 {gathering} = being left out of the {gathering} hurts
contest = we won the {contest} {time} = winners of the {contest} = we lost the {contest} {time} = the {contest} was
 lost, but not your courage
contest = I came first in the {contest} = first in the {contest}, what a feeling = I came last in the {contest} = last
 in the {contest} is still further than those who stayed at home
dish = my {dish} turned out perfect = a perfect {dish}, I can nearly smell it = I [burnt|spoiled] the {dish} = a
 [burnt|spoiled] {dish} after all that work
dish = everybody [loved|praised] my {dish} = your {dish} was worth the work = nobody [liked|touched] my {dish} = you
 put love in that {dish}
plant = my {plant} is in flower = a {plant} in flower is a small wonder = my {plant} [died|froze] = you cared for that
 {plant}, and it is gone
plant = my {plant} came back to life = that {plant} did not give up, and nor did you = the storm broke my {plant} = a
 storm asks nobody, your poor {plant}
trip = our {trip} was [lovely|wonderful] = a {trip} like that keeps you warm for months = our {trip} was a disaster =
 you wanted a rest, and the {trip} was none
trip = we booked a {trip} {time} = a {trip} to look forward to = we had to give up our {trip} = no {trip} after all
 that looking forward
""")

FAMILY_POOLS = {
    "who": RELATIVES + PETS,
    "pet": PETS,
    "relative": RELATIVES,
    "thing": pool(
        """wallet; key; phone; bicycle; ring; watch; bag; camera; umbrella; scarf; passport; laptop; suitcase;
        guitar; violin; car; lamp; radio; coat; hat; necklace; notebook; tent; scooter; sewing machine; washing
        machine; fridge; kettle; oven; piano; clock; mirror; vase; chair; teapot; skateboard; backpack; purse;
        bracelet; tablet; printer; toaster; sledge; kite; flute; telescope; lawnmower; heater; boat; trumpet;
        doll; teddy bear"""
    ),
    "exam": pool(
        """driving test; maths exam; history exam; French test; swimming test; final exam; spelling test; chemistry
        exam; piano exam; nursing exam; entrance exam; cooking exam; hunting test; music exam; biology test;
        sailing licence; language test; law exam; eye test; fitness test"""
    ),
    "wanted": pool(
        """job; flat; part in the play; place at the school; loan; promotion; prize; scholarship; place in the team;
        internship; room; visa; contract; raise; house; solo in the choir; garden plot; day off; bigger desk"""
    ),
    "gathering": pool(
        """wedding; party; picnic; concert; family dinner; reunion; school trip; barbecue; festival; match; street
        party; dance; birthday party; camp; wine tasting; book club; garden party; graduation; quiz night; theatre
        evening"""
    ),
    "contest": pool(
        """match; race; final; chess game; football game; cooking contest; quiz; tennis match; singing contest;
        relay; swimming race; card game; dance contest; tournament; spelling bee; drawing contest; cup; marathon;
        regatta"""
    ),
    "dish": pool(
        """cake; bread; roast; soup; pie; stew; pizza; risotto; birthday cake; curry; omelette; lasagne; jam;
        pudding; goulash; salad; apple tart; fish; casserole"""
    ),
    "plant": pool(
        """rose; orchid; apple tree; tomato plant; cactus; lemon tree; sunflower; cherry tree; lavender; fern; palm;
        magnolia; fig tree; basil; peony; tulip; vine; plum tree; hydrangea; bonsai"""
    ),
    "trip": pool(
        """holiday; trip to the sea; camping trip; cruise; honeymoon; weekend in the mountains; city trip; ski
        holiday; train journey; bicycle tour; boat trip; road trip; hike; trip to Rome; week in Spain; visit to
        Paris"""
    ),
}
