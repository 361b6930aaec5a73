"""Everyday subjects in two rounds: what somebody says, a question, a short answer, what follows from it."""

from hamner.data.builtin_text.habit_tools import rows

# {a} in the last column is the user's own short answer, as it was said.
SUBJECTS = rows("""
my roses have spots = where do the roses have spots = [on the leaves|on the stems|on the lower leaves] = spots {a} are
 often a fungus, cut those parts off the roses
I have toothache = since when do you have toothache = [since Monday|since last night|since lunch|for a week] =
 toothache {a}, that is for the dentist
my bicycle makes a noise = where does the bicycle make the noise = [at the back|in front|at the pedals|near the chain]
 = a noise {a}, then oil that part of the bicycle first
my soup is too salty = how big is the pot of soup = [quite small|very big|for {number} people] = add water and a raw
 potato to the soup, the potato drinks salt
my cat does not eat = how long has the cat not eaten = [since yesterday|for a day|since {day}|for two days] = a cat
 not eating {a} should see the vet
I have an exam = when is the exam = [tomorrow|on {day}|next week|in {month}] = {a}? Then make a plan for the exam
 tonight, one topic a day
my train is late = how late is the train = [an hour|{number} minutes|half an hour|nobody knows] = {a}, then get a hot
 drink before the train comes
my shoes hurt = where do the shoes hurt = [at the heel|at the toes|on the left foot|everywhere] = wear thick socks
 with the shoes at home, so they stretch {a}
I want to plant beans = how many beans will you plant = [two of them|a handful|a whole row|only one] = {a}? Beans want
 a stick to climb and a hand of space
our tap drips = which tap drips = [the one in the kitchen|the one in the bath|the hot one|the old one] = {a} needs a
 new rubber ring, and the tap is quiet
I have lost my key = where did you last have the key = [at the bakery|in the car|at home|on the bus] = then look for
 the key {a} first, and ask there
my dog barks all night = when did the dog begin to bark = [last week|since we moved|on {day}|when we got home] = {a},
 so the dog may be uneasy, a long evening walk helps
the baby has a rash = where is the rash = [on the cheeks|on the tummy|on both arms|behind the ears] = a rash {a} can
 wait a day, but show the doctor if the baby has fever
my phone does not charge = how old is the phone = [four years|two years|quite new|very old] = {a}? Try another cable
 first, then clean the hole of the phone
my bread did not rise = how long did the bread stand = [an hour|{number} minutes|all night|not long] = {a}, and was
 the yeast fresh? Bread needs warmth and living yeast
I am looking for a present = who is the present for = [my {relative}|my boss|an old friend|{friend}] = a present for
 {a}: something small that shows you listened
my tomatoes turn brown = where do the tomatoes turn brown = [at the bottom|on one side|near the stem|inside] = brown
 {a} means the tomatoes need even watering
my knee hurts = when does the knee hurt = [on the stairs|in the morning|after running|all the time] = if the knee
 hurts {a}, spare it a week and then see a doctor
I need new glasses = what are the glasses for = [for reading|for driving|for work|for far away] = glasses {a} should
 be fitted, so have your eyes measured
my window does not close = where does the window stick = [at the top|at the bottom|in the corner|near the handle] =
 rub candle wax on the window {a} and try again
I am making a salad = what is in the salad = [only tomatoes|beans|lettuce|carrots and nuts] = {a}? Add lemon, oil and
 a little salt to the salad
my car will not start = what does the car do = [nothing|it clicks|it coughs|it smells] = {a}? It may be the battery of
 the car, try a jump start
I have to write a letter = who will read the letter = [my landlord|the bank|my {relative}|the school] = for {a}, keep
 the letter short: one wish, one reason
my cake sank = when did the cake sink = [in the oven|when it cooled|in the middle|at once] = it sank {a}, so bake the
 cake longer and keep the door shut
our hen is ill = what does the hen do = [it sits there|it sneezes|it does not eat|it limps] = {a}, then keep the hen
 warm and apart, and ask a vet
my hair is dry = how often do you wash your hair = [every day|twice a week|in the morning|{number} times a week] =
 {a}? Wash the hair less and put some oil in the tips
I want to run a race = how long is the race = [five kilometres|ten kilometres|a marathon|not long] = {a}, so train for
 the race three times a week, slowly
my plant has flies = where are the flies = [in the soil|on the leaves|around the pot|everywhere] = flies {a} go when
 the plant dries out a little
the washing machine leaks = where does the machine leak = [at the door|underneath|at the hose|behind it] = a leak {a}:
 turn off the water and check the seal of the machine
I have a sore throat = how long has the throat been sore = [two days|since {day}|a week|since this morning] = {a},
 then warm drinks for the throat, and a doctor if it stays
I want to learn a song = which song do you want to learn = [a slow one|a love song|an old one|the one from the radio]
 = {a}? Learn the song line by line, and hum it in between
my jumper has a hole = where is the hole = [at the elbow|in the sleeve|under the arm|in front] = a hole {a} can be
 darned with wool of the same jumper colour
there is a mouse in the house = where did you see the mouse = [in the kitchen|under the sink|behind the stove|in the
 pantry] = then set a mouse trap with nut butter {a}, mice love it
we have a guest = how long does the guest stay = [three days|one night|a week|until {day}] = {a}? Give your guest a
 key, a towel and some peace
my back is sore = what were you lifting before your back got sore = [boxes|nothing|the sofa|my {relative}'s bed] =
 {a}! Rest your back with warmth and short walks
I bought a fish = how big is the fish = [quite small|half a metre|two kilos|enough for {number}] = {a}? Salt the fish,
 add lemon and bake it
our fence fell down = what brought the fence down = [the storm|the neighbour's car|it was rotten|the snow] = {a}? Then
 set new posts deep before you mend the fence
my tea is bitter = how long did the tea stand = [ten minutes|too long|I forgot it|five minutes] = {a}? Take the leaves
 out of the tea after three minutes
I saw a strange bird = what colour was the bird = [blue|yellow and black|all grey|red below] = {a}, that narrows it
 down; how large was the bird
the children are bored = how old are the children = [five and seven|ten|quite small|{number}] = {a}? Give the children
 boxes and paint, and stand back
my apples are wrinkled = where do you keep the apples = [in the kitchen|in a bag|near the heater|on the balcony] = {a}
 is too dry, apples like a cool cellar
I have a job interview = where is the interview = [in a bank|at the hospital|at a school|in the next town] = {a},
 good: read up on it and arrive at the interview early
the room smells damp = which room smells damp = [the cellar|the bathroom|my bedroom|the one upstairs] = {a}? A damp
 room needs air, open the window wide three times a day
my computer is loud = when is the computer loud = [all the time|in the evening|when I play|at the start] = {a}? Dust
 in the fan, I think, so blow the computer clean
I need a haircut = how short should the haircut be = [very short|only the tips|to the shoulders|like last time] = {a}:
 bring a picture to the haircut, it saves words
my coat lost a button = which button did the coat lose = [the top one|the last one|two of them|the big one] = {a}?
 Look inside the coat, a spare one is often sewn in
I am going to the sea = how long will you be at the sea = [a week|three days|until {day}|all {month}] = {a} at the
 sea, how fine: pack a hat and sun cream
the stairs creak = which step of the stairs creaks = [the third|the top one|all of them|the lowest] = {a}? Put powder
 in the gap of the stairs, or a screw
I got a parking ticket = where did you get the ticket = [near the station|at the market|in front of my house|at the
 doctor's] = {a}, of all places; pay the ticket soon, it gets dearer
my lamp flickers = since when does the lamp flicker = [since {day}|for weeks|since the storm|today] = {a}? Change the
 bulb of the lamp, and switch it off before
I have a new neighbour = what is the new neighbour like = [friendly|very quiet|a bit loud|I do not know yet] = {a}?
 Take your neighbour a cake and say hello
my pizza burns = how hot is the oven for the pizza = [very hot|two hundred|I do not know|as hot as it goes] = {a}? Put
 the pizza one shelf lower
I want to save water = where do you use the most water = [in the shower|in the garden|in the kitchen|at the washing
 machine] = start {a}: less time and a bucket save much water
our hedge is too high = how high is the hedge = [two metres|over my head|three metres|up to the roof] = {a}? Cut the
 hedge after the birds have left, in autumn
I forgot my password = which password did you forget = [the one for mail|the bank one|the old one|two of them] = {a}?
 Press the link for a forgotten password and write down the new one
my nose bleeds = how long has the nose been bleeding = [five minutes|not long|since noon|again and again] = {a}? Lean
 forward, press the nose and cool your neck
my son will not sleep = how old is your son = [two|three years|eight months|five] = {a}? The same song and a soft
 light help a son of that age sleep
we are painting the door = what colour will the door be = [green|red|dark blue|white again] = {a}, nice: sand the door
 first and paint two thin coats
I broke a plate = which plate did you break = [the blue one|my {relative}'s|an old one|two of them] = {a}? Wrap the
 pieces of the plate in paper, so nobody gets cut
there is snow on the path = how deep is the snow = [ankle deep|up to my knees|not much|a metre] = {a}? Sweep the path
 early, before the snow freezes
my pen leaked = where did the pen leak = [on my shirt|in the bag|on the table|on my hand] = ink {a}: dab it with milk
 or alcohol, and throw out the pen
they want a speech of me = how long is the speech = [five minutes|very short|half an hour|ten minutes] = {a}? Say
 three things in your speech and stop
the radio does not work = what does the radio do = [it hums|nothing|it crackles|only noise] = {a}? Try new batteries
 and turn the aerial of the radio
my rabbit is fat = what does the rabbit eat = [carrots|bread|dry food|everything] = {a}? Hay and green leaves make a
 rabbit slim
I need a book = what kind of book do you need = [a funny one|a thick one|for a child|something sad] = {a}? Ask the
 library, they love to find a book
the tent is wet = how wet is the tent = [only the floor|soaked|a bit|inside too] = {a}? Hang the tent up open, or it
 will go mouldy
my pan sticks = what pan is it = [an iron one|the old one|steel|a cheap one] = {a}? Heat the pan first, then oil, then
 food
I want to make jam = what fruit do you have for the jam = [plums|berries|two kilos of cherries|apples] = {a}? Half as
 much sugar, and boil the jam until it sets
my ear hurts = which ear hurts = [the left one|both|the right one|the one I sleep on] = {a}? Keep the ear warm, and
 see a doctor if it lasts
the bus was full = when was the bus full = [this morning|at eight|every day|on {day}] = {a}? Perhaps the bus before or
 after is emptier
we want to go camping = where will you go camping = [by the lake|in the woods|in the mountains|near {friend}'s farm] =
 {a}! Take a warm bag and a lamp for camping
I am learning to knit = what will you knit = [a scarf|socks|a hat|something easy] = {a}, good: knit loosely and count
 after each row
my piano is out of tune = which keys of the piano sound wrong = [the low ones|all of them|two of them|in the middle] =
 {a}? A tuner puts the piano right in two hours
the milk boiled over = where is the milk now = [on the stove|everywhere|on the floor|under the pot] = {a}? Salt on the
 burnt milk, wait, and wipe it
my goldfish is pale = how warm is the water of the goldfish = [quite cold|I do not know|twenty degrees|warm] = {a}?
 Change some water and give the goldfish less food
I have hay fever = when is the hay fever worst = [in the morning|outside|at night|in {month}] = {a}? Wash your hair at
 night, it helps against hay fever
my lock is stiff = which lock is stiff = [the front door|the shed|the one on my bike|both of them] = {a}? Some
 graphite powder in the lock, no oil
I want a pet = how much room do you have for a pet = [very little|a garden|two rooms|a balcony] = {a}? Then choose a
 pet that is happy there, and think of holidays
the picture hangs crooked = which side of the picture is low = [the left one|the right one|I cannot say|on top] = {a}?
 A drop of putty under the picture keeps it straight
my watch stopped = when did the watch stop = [at noon|yesterday|in the water|on {day}] = {a}? It may be the battery, a
 watch shop changes it at once
there are wasps on the balcony = how many wasps are there = [two of them|a lot|about {number}|a whole nest] = {a}?
 Cover sweet food and leave the wasps alone
my cheese is hard = how long has the cheese been open = [a week|since {day}|too long|{number} days] = {a}? Grate the
 cheese over pasta, it is still good
I am tired at work = when are you most tired = [after lunch|in the morning|at three|all day] = tired {a}? A glass of
 water and a short walk help at work
our cellar is full = what is in the cellar = [old toys|boxes|everything|my {relative}'s things] = {a}? One box from
 the cellar a day, keep or give away
the ladder wobbles = where does the ladder stand = [on the grass|on the stairs|in the hall|on gravel] = {a}? Put a
 board under the ladder and let somebody hold it
I want to bake biscuits = how many people eat the biscuits = [{number}|only me|the whole class|my family] = {a}? Three
 cups of flour, two of butter, one of sugar make biscuits
my tyre loses air = which tyre loses air = [the back one|in front|both of them|the new one] = {a}? Hold the tyre under
 water and look for bubbles
my zip is stuck = where is the zip stuck = [at the bottom|halfway|on my jacket|in the lining] = {a}? Rub soap on the
 zip and pull gently
our oven smells = when does the oven smell = [when it is hot|at the start|all the time|since {day}] = {a}? Something
 burnt sits in the oven, wipe it with soda
my plum tree bears no fruit = how old is the plum tree = [three years|very old|ten years|I do not know] = {a}? A plum
 tree needs time and often a second tree nearby
I want to sew curtains = how wide is the window for the curtains = [two metres|very wide|not wide|one metre] = {a}?
 Take twice that width for the curtains, so they fall well
my skin itches = where does the skin itch = [on my arms|on my back|behind the knees|everywhere] = skin that itches {a}
 may only be dry, try a plain cream
my horse limps = which leg of the horse is it = [the left front leg|a hind leg|I cannot tell|both front legs] = {a}?
 Let the horse rest, look for a stone, and call the vet
my boots are wet = how wet are the boots = [quite soaked|only inside|a little|through and through] = {a}? Fill the
 boots with paper and let them dry far from the stove
our kitchen drawer jams = what is in the drawer = [spoons|too much|knives and string|old papers] = {a}? Empty the
 drawer, wax the sides and put half back
I have to catch a plane = when does the plane leave = [at six|tomorrow morning|on {day}|in {number} hours] = {a}? Pack
 for the plane now and leave an hour more than you think
my drawing looks flat = what is on the drawing = [a house|my {relative}|two trees|a bowl] = {a}? Put light on one side
 of the drawing and shade on the other
my garden is full of snails = which plants of the garden do the snails eat = [the lettuce|everything green|the
 beans|my strawberries] = {a}? Gather the snails at dusk, and water your garden in the morning
I burnt my shirt with the iron = how big is the mark on the shirt = [like a coin|quite big|only light|on the collar] =
 {a}? Lemon juice and sun may bleach the shirt, or wear a jumper
I want to invite {friend} = where do you want to invite {friend} = [to my house|to the lake|for dinner|to a concert] =
 then ask {friend} {a} today, short and friendly
""")
SUBJECT_REPLIES = (
    "{r}.",
    "{r}.",
    "{r}.",
    "{r}.",
    "[I see|Ah|Thank you|Good to know]. {r}.",
    "{r}. [Good luck|Tell me how it goes|That should help|I hope it helps].",
)
ASK_SUBJECT = (
    "{q}?",
    "[Oh|Hm|I see|Let us see|All right|Ah|Let us look at it]. {q}?",
    "[Tell me first|First|One question|So that I can help]: {q}?",
    "[Maybe I can help|We can find out|Let us think|Good that you ask]: {q}?",
)
SUBJECT_STARTS = (
    "", "", "", "", "", "", "Hi, ", "Hello. ", "Help, ", "Well, ", "So, ", "Please help, ", "You know, ", "Hey, ",
    "Listen, ", "Good morning, ",
)  # fmt: skip
SUBJECT_ENDS = (
    ".", ".", ".", ".", "!", "", ". What can I do?", ". Any ideas?", ". Do you have advice?", ". Help me.",
    ". What now?",
)  # fmt: skip
ANSWER_STARTS = (
    "", "", "", "", "", "Hm, ", "I think ", "Well, ", "Oh, ", "I would say ",
)  # fmt: skip
AND_THEN = rows("""
[thanks|thank you], I will try that = [good luck|all the best] with it, tell me how it goes
[how long will that take|does it take long]? = not long, give it a [quiet hour|day or two]
[and if it does not help|what if that fails]? = then come back and tell me, we will think again
[I did that already|that I tried] = [oh|I see], then perhaps somebody near you can take a look
[good|fine|great] = [glad to help|I am glad], is there anything else?
[are you sure|is that so]? = fairly sure, but I can be wrong
[that is a good idea|I had not thought of that] = I am glad, [try it when you have time|it has helped many]
what will it cost? = [very little|next to nothing], I think, most of it is patience
can I do it [myself|alone]? = I think so, [go slowly|take it step by step]
my {relative} can help me = good, two heads and four hands are better
[I am a bit afraid of it|I hope I do not make it worse] = go gently, and stop when you are not sure
I will do it [on {day}|tomorrow|tonight] = good, then it will be off your mind
why is that? = it is often so, but I cannot see it from here
you know a lot about it = thank you, I only know what I have read
""")
