"""What people do, think and want to know: tables of tellings, facts and ways to do things."""

from hamner.data.builtin_text.habit_tools import rows

# The same subject from both sides: what somebody does; the question about it; what somebody asks; the answer.
BOTH_SIDES = rows("""
I baked bread {time} = what kind of bread is it = how to bake bread = mix flour, water, salt and yeast, let it rise
 and bake it forty minutes
I am making soup = what goes into your soup = how to make soup = fry an onion, add vegetables and water, and let it
 simmer half an hour
I boiled eggs for breakfast = soft or hard eggs = how to boil an egg = put it into boiling water: six minutes for
 soft, ten for hard
I am cooking rice for {number} people = what will you eat with the rice = how to cook rice = take two cups of water
 for one of rice and simmer it covered
I made a pot of jam = which fruit is in the jam = how to make jam = boil fruit and sugar in equal parts until a drop
 sets on a cold plate
I started to drink green tea = does green tea wake you up = how to brew green tea = use water that no longer boils and
 wait two minutes
I roast my own coffee now = how strong do you like your coffee = how to make strong coffee = use one more spoon of
 finely ground coffee for each cup
I am planting tomatoes = how many tomatoes did you plant = how to grow tomatoes = give them sun, a stick to lean on
 and water at the roots
I sowed carrots {time} = how big is your carrot bed = how to sow carrots = sow them thinly in loose soil and keep it
 damp
I bought roses for the balcony = what colour are the roses = how to cut roses = cut them in spring, just above a bud
 that points out
I got a cactus from my {relative} = where will the cactus stand = how to water a cactus = water it once in three weeks
 and hardly in winter
I mowed the lawn {time} = do you like mowing the lawn = how to mow a wet lawn = wait until it is dry, or set the blade
 high
I am raking leaves = is it a big tree that drops the leaves = how to make compost = layer leaves, peels and grass,
 keep it damp and turn it
my {relative} and I are painting the kitchen = what colour will the kitchen be = how to paint a wall = tape the edges,
 roll on a thin coat, let it dry and roll again
I am putting up a shelf = what will stand on the shelf = how to put up a shelf = mark it with a level, drill, put in
 plugs and screw it on
I repaired the tap myself = was the tap hard to repair = how to stop a dripping tap = turn off the water and change
 the rubber ring inside
I hung a picture in the hall = what is on the picture = how to hang a picture straight = measure from the ceiling on
 both sides and mark two points
I cleaned all the windows = how many windows do you have = how to clean windows = wash them with a little vinegar in
 water and wipe them with newspaper
I descaled the kettle = how bad was the kettle = how to descale a kettle = boil equal parts of vinegar and water in
 it, wait and rinse
I am defrosting the freezer = what did you find in the freezer = how to defrost a freezer = switch it off, empty it
 and put a bowl of hot water in
I washed my wool jumper = did the jumper keep its shape = how to wash wool = use cold water and mild soap, press it
 and dry it flat
I spilled wine on the carpet = is it a light carpet = how to get wine out of a carpet = dab it with cold water, then
 salt, and vacuum it when dry
I am sewing a dress = is the dress for you = how to sew on a button = go through each hole four times, wind the thread
 below and knot it
I am knitting socks = who will wear the socks = how to knit a scarf = cast on thirty stitches and knit each row until
 it is long enough
I polished my shoes {time} = what are the shoes for = how to polish shoes = brush off dirt, rub in a little polish,
 wait and brush them again
I ironed my shirts = do you listen to music at ironing = how to iron a shirt = begin with the collar, then sleeves,
 then front and back
I bought a used bicycle = where will the bicycle take you first = how to mend a flat tyre = find the hole under water,
 roughen it and glue on a patch
I oiled my bicycle chain = do you ride the bicycle to work = how to oil a chain = wipe it clean, put a drop on each
 link and wipe off the rest
I changed a wheel on my car = were you on the road when the wheel went flat = how to change a wheel = loosen the nuts,
 lift the car, swap the wheel and tighten crosswise
I take driving lessons = what is hardest about driving = how to park backwards = line up with the front car, turn in
 slowly and straighten out
I learn to swim with my {relative} = can you float already = how to float on water = lie back, fill your lungs, spread
 your arms and look up
I go running in the morning = how far do you run = how to start running = run one minute, walk two, and do that for
 twenty minutes
I do yoga now = does yoga help you relax = how to stretch a stiff back = kneel, put your forehead down and stretch
 your arms forward
I went to the gym {time} = what did you train at the gym = how to do a push-up = keep your body straight, lower your
 chest and push up
I am learning Spanish = why did you choose Spanish = how to learn new words = write ten on cards and repeat them
 morning and evening
I play the guitar again = what do you play on the guitar = how to tune a guitar = begin with the low string and use a
 tuner for each
I am learning the piano = what piece is on your piano = how to practise the piano = play slowly, each hand alone,
 twenty minutes a day
I joined a choir = which voice do you sing = how to sing higher = warm up softly, breathe low and never press
I am writing a story = what is the story about = how to write a story = give somebody a wish, put something in the way
 and see
I am reading a thick book = who is your favourite in the book = how to read more = keep a book by the bed and read ten
 pages a night
I draw every evening = what do you like to draw = how to draw a face = start with an egg shape, eyes halfway down,
 then nose and mouth
I took photos of the sunset = where did you see that sunset = how to take sharp photos = hold your elbows close,
 breathe out and press gently
I go fishing on {day} = what do you catch = how to clean a fish = scale it, slit the belly, take all out and rinse it
I went camping with {friend} = how was the night in the tent = how to put up a tent = find flat ground, lay it out,
 raise the poles and peg it
I made a fire in the garden = who sat around the fire = how to light a fire = lay small dry twigs over paper and add
 thicker wood later
I am training my {pet} = what shall your {pet} learn = how to teach a dog to sit = hold a treat over its nose, say sit
 and give it at once
I brushed the cat {time} = does the cat like the brush = how to brush a cat = start at the neck, go with the fur and
 stop in time
I cleaned the fish tank = how many fish are in the tank = how to clean a fish tank = change a third of the water and
 wipe the glass
I feed the birds in winter = which birds come to you = how to feed birds = hang seeds and fat high up, away from cats
I gave the dog a bath = did the dog shake all over you = how to bathe a dog = use lukewarm water and mild soap, and
 rinse well
I am packing for {number} days = where are you going = how to pack a small bag = roll your clothes and put shoes at
 the bottom
I am moving house in {month} = how far is the new house = how to pack plates = wrap each in paper and stand them on
 edge
I flew for the first time = how did flying feel = how to keep ears clear on a plane = chew gum, swallow often and yawn
I take the train to work now = do you read on the train = how to get cheap train tickets = book weeks ahead and travel
 off the busy hours
I started a diary = what was your first line = how to keep a diary = write three lines each evening, no more
I am saving for a trip = where do you want to go with your savings = how to save money = put a fixed sum aside on pay
 day
I had a job interview {time} = what kind of job was the interview for = how to prepare for an interview = read about
 the firm and practise three answers aloud
I give a talk in front of {number} people = what is your talk about = how to calm down before a talk = breathe out
 slowly, drink water and know your first sentence
I work nights now = how do you sleep by day with night work = how to sleep by day = make the room dark and cool, and
 put the phone away
I got up at five {time} = what gets you up at five = how to get up early = go to bed an hour earlier and put the alarm
 far away
I had a nap on the sofa = was it a long nap = how to fall asleep faster = put screens away early and breathe slowly
I cut my finger = is the finger bleeding still = how to treat a small cut = rinse it, press a clean cloth on it and
 put on a plaster
I burned my tongue = what was so hot = how to cool a burn = hold it under cool water for ten minutes
I have a cold = how long have you had the cold = how to treat a sore throat = gargle with salt water and drink
 something warm
I had hiccups all evening = what stopped the hiccups = how to stop hiccups = hold your breath and swallow three times
I was stung by a bee = where did the bee sting you = how to treat a bee sting = pull it out sideways, cool it and
 leave it alone
I removed a splinter = how deep was the splinter = how to get a splinter out = wash it, use clean tweezers and pull
 the way it went in
I bought new glasses = what do the new glasses look like = how to clean glasses = use lukewarm water, one drop of soap
 and a soft cloth
I dyed my hair = what colour is your hair now = how to get gum out of hair = rub in some oil and comb it out gently
I organised my photos = which photo made you smile = how to sort photos = make one folder a year and delete the
 blurred ones
I got a new phone = what can the new phone do better = how to free space on a phone = delete old videos and apps you
 never open
I set up a computer for my {relative} = what will your {relative} do with the computer = how to speed up a computer =
 close programs, restart it and delete large files
I wrote a letter by hand = who gets your letter = how to write a thank-you letter = name the gift, say why it pleased
 you and greet warmly
I am planning a party = how many people come to your party = how to plan a party = fix a date, ask ten people and keep
 the food simple
I wrapped presents all evening = who gets the biggest present = how to wrap a present = cut paper a hand wider, fold
 it tight and tape it
I carved a pumpkin = did the pumpkin get a funny face = how to carve a pumpkin = cut off the lid, scoop it out and cut
 a face
I built a snowman = what is the snowman's nose = how to build a snowman = roll three balls, stack them and press snow
 between
I made pancakes for everyone = sweet or salty pancakes = how to make pancakes = mix flour, milk and eggs, rest it and
 fry thin
I tried to make cheese = how does your cheese taste = how to store cheese = wrap it in paper and keep it in the
 vegetable drawer
I peeled {number} kilos of onions = what are all those onions for = how to cut onions without tears = cool them first
 and use a sharp knife
I made pizza with the children = what was on the pizza = how to make pizza dough = mix flour, yeast, water, salt and
 oil, and let it rise
I eat no meat since {month} = what do you cook instead of meat = how to cook beans = soak them overnight and simmer an
 hour without salt
I sharpened all my knives = who taught you to sharpen knives = how to sharpen a knife = draw it over a wet stone at a
 low angle, both sides
I bought a chess set = who do you play chess with = how to get better at chess = solve one puzzle a day and play
 slowly
I babysat for {friend} = how old is the child = how to calm a baby = hold it close, rock it and hum low
my son starts school in {month} = is your son looking forward to school = how to help with homework = sit nearby, ask,
 and let the child think
I keep bees now = how many bees do you have = how to move near bees = be slow and calm, and wear light clothes
I made yoghurt at home {time} = is your yoghurt thick = how to make yoghurt = warm milk, stir in a spoon of yoghurt
 and keep it warm overnight
I pickled cucumbers with my {relative} = do you like pickled cucumbers sour = how to pickle cucumbers = cover them
 with hot vinegar, water, sugar, salt and dill
I fried fish for lunch = which fish did you fry = how to fry fish = dry it, flour it and fry it three minutes on each
 side
I grilled on the balcony = what was on the grill = how to light a grill = pile up the coals, light them and wait until
 they are white
I peeled potatoes for the whole team = how many potatoes did you peel = how to mash potatoes = boil them soft, add
 butter and warm milk and stamp
I dried apples and pears = do you dry them in the oven = how to dry apples = cut thin rings and dry them at low heat
 with the door ajar
I trimmed my beard {time} = did the beard come off completely = how to trim a beard = comb it, set the blade long and
 go shorter bit by bit
I braided my niece's hair = does your niece hold still at braiding = how to braid hair = part it in three and lay the
 outer strands over the middle in turn
I planted an oak {time} = where does the oak stand = how to plant a tree = dig a wide hole, spread the roots, fill in
 earth and water it well
I made a scarecrow with {friend} = what does the scarecrow wear = how to keep birds off cherries = hang shiny strips
 or a net over the branches
I caught a wasp in a glass = did the wasp fly off = how to get a wasp out of a room = put a glass over it, slide card
 under and take it outside
I patched my jeans = what colour is the patch on the jeans = how to shorten trousers = pin the new length, iron the
 fold and sew it with small stitches
I cleaned the oven at last = what was burnt in the oven = how to clean an oven = spread baking soda and water, wait
 overnight and wipe it out
I sorted my books by colour = does it look good with the books = how to sort a bookshelf = put together what you look
 for together
I changed the bed for my guests = who is coming to sleep in the bed = how to fold a fitted sheet = put the corners
 into each other and fold it in thirds
I unblocked the sink = what was in the sink = how to unblock a sink = pour in soda and vinegar, wait and flush with
 hot water
I wired a lamp with my {relative} = where does the lamp hang = how to change a bulb = switch off, let it cool and turn
 the old one left
I sanded the floor all week = what wood is the floor = how to fix a creaking floor = blow powder between the boards
 and screw down the loose ones
I built a kite for my {relative} = did the kite fly = how to fly a kite = stand with your back to the wind, let it
 rise and give string
I sailed on the lake with {friend} = was it windy on the lake = how to tie a knot that holds = make a loop, pass the
 end through, around and back, and pull
I climbed a mountain {time} = how was the view from the mountain = how to walk uphill without losing breath = take
 short steps, breathe evenly and begin slowly
I skated on the pond = did the ice on the pond hold = how to skate backwards = bend your knees and draw small curves
 with both feet
I play table tennis in the cellar = who do you play table tennis with = how to serve in table tennis = throw the ball
 up a hand high and hit it as it falls
I juggle with three balls now = how long did you need to learn to juggle = how to juggle = begin with one ball, then
 two, and throw at eye height
I learn sign language = who do you sign with = how to say thank you in sign language = move a flat hand from your chin
 forward
I take dance lessons with my {relative} = which dance do you learn = how to dance a waltz = count to three, step long
 on one and short on two and three
I meditate every morning = how long do you sit to meditate = how to meditate = sit still, count ten breaths and begin
 again
I wrote a poem for {friend} = does the poem rhyme = how to write a poem = take one picture you saw today and say it in
 few words
I learned a speech by heart = how long is the speech = how to learn a text by heart = read it aloud in pieces and
 repeat each before sleep
I bought a house plant for my desk = how much light has your desk = how to repot a plant = take a pot two fingers
 wider, fresh soil, and water it
I looked after the neighbour's parrot = did the parrot speak = how to teach a parrot to speak = say one word often and
 clearly and reward each try
I walked {number} dogs at once = did the dogs pull you along = how to walk a dog on a loose lead = stop each time it
 pulls and go on when it comes back
I had my passport renewed = where will you go with the new passport = how to renew a passport = book a time, bring a
 photo, the old one and the fee
I did my taxes {time} = was it much paper for the taxes = how to file papers = one folder a year, and each paper on
 the day it comes
I sold old toys at the flea market = which toy went first at the market = how to sell at a flea market = come early,
 smile and price things in round sums
""")

# Facts: the question, the question inside a sentence, the answer.
FACTS = rows("""
how long does pasta cook = how long pasta cooks = most pasta takes eight to ten minutes
how many days does a year have = how many days a year has = a year has three hundred and sixty-five days
when does water boil = when water boils = water boils at a hundred degrees
when does water freeze = when water freezes = water freezes at zero degrees
how many legs does a spider have = how many legs a spider has = a spider has eight legs
how many eggs are in a dozen = how many eggs are in a dozen = a dozen is twelve eggs
what do hedgehogs eat = what hedgehogs eat = hedgehogs eat beetles, worms and snails
what do horses eat = what horses eat = horses eat grass, hay and oats
where do penguins live = where penguins live = penguins live in the south, many on the ice
how long do eggs keep = how long eggs keep = eggs keep about four weeks in the fridge
how long does milk keep once it is open = how long open milk keeps = open milk keeps three or four days in the fridge
when should I plant tulips = when to plant tulips = plant tulips in autumn, before the frost
how often should I water basil = how often basil needs water = basil wants a little water every day
how hot should an oven be for pizza = how hot an oven must be for pizza = as hot as it gets, two hundred and fifty
 degrees
how often should I change my toothbrush = how often to change a toothbrush = change your toothbrush every three months
how long should I brush my teeth = how long to brush teeth = brush your teeth two minutes, twice a day
how much water should I drink = how much water to drink = about a litre and a half of water a day
how much does a litre of water weigh = how much a litre of water weighs = a litre of water weighs a kilo
what is the tallest animal = what the tallest animal is = the giraffe is the tallest animal
what is the fastest animal on land = which animal is fastest on land = the cheetah is the fastest on land
why is the sky blue = why the sky is blue = air scatters blue light more than red
why do leaves turn red = why leaves turn red = the green goes first and the red remains
why does bread go mouldy = why bread goes mouldy = tiny spores in the air grow on damp bread
why do cats purr = why cats purr = cats purr when they feel well, and to calm themselves
why do we yawn = why we yawn = people yawn when tired or bored, and it spreads
what is yeast = what yeast is = yeast is a tiny fungus that makes dough rise
what is compost = what compost is = compost is rotted plants that feed the soil
what is a leap year = what a leap year is = a leap year has one day more, in February
what does a plumber do = what a plumber does = a plumber mends pipes, taps and toilets
what can I use instead of eggs = what to use instead of eggs = half a mashed banana replaces one egg
what can I use instead of butter = what to use instead of butter = oil works in most cakes, a little less of it
what goes well with fish = what goes well with fish = potatoes, lemon and spinach go well with fish
which side of the road do they drive on in England = which side they drive on in England = they drive on the left in
 England
how long is a marathon = how long a marathon is = a marathon is forty-two kilometres
how many players are in a football team = how many players a football team has = a football team has eleven players
how many strings does a violin have = how many strings a violin has = a violin has four strings
how many minutes does a hard egg take = how many minutes a hard egg takes = ten minutes make a hard egg
which month has the fewest days = which month has the fewest days = February has the fewest days
which planet is nearest to the sun = which planet is nearest to the sun = Mercury is nearest to the sun
who wrote Hamlet = who wrote Hamlet = Shakespeare wrote Hamlet
what is the capital of Italy = what the capital of Italy is = Rome is the capital of Italy
what is the capital of Japan = what the capital of Japan is = Tokyo is the capital of Japan
what is the capital of Egypt = what the capital of Egypt is = Cairo is the capital of Egypt
what is the German word for tree = what tree is in German = tree is Baum in German
what is the French word for bread = what bread is in French = bread is pain in French
what is the Spanish word for house = what house is in Spanish = house is casa in Spanish
where can I keep potatoes = where to keep potatoes = keep potatoes in a dark, cool and dry place
where does chocolate come from = where chocolate comes from = chocolate comes from the beans of the cocoa tree
where should I put a smoke alarm = where to put a smoke alarm = put it on the ceiling, in the hall and in bedrooms
which bin takes glass = which bin takes glass = glass goes into the glass bank, sorted by colour
how many colours does a rainbow have = how many colours a rainbow has = people count seven colours in a rainbow
how long does a cold last = how long a cold lasts = a cold lasts a week, more or less
how long do cats live = how long cats live = cats live about fifteen years
how much sleep does a child need = how much sleep a child needs = a child of six needs about ten hours of sleep
how many teeth do grown people have = how many teeth grown people have = most grown people have thirty-two teeth
how many bones do we have = how many bones we have = a grown person has two hundred and six bones
what do bees make honey from = what bees make honey from = bees make honey from nectar
what do owls hunt = what owls hunt = owls hunt mice and other small animals at night
what is cheese made of = what cheese is made of = cheese is made of milk that was thickened
what is glass made of = what glass is made of = glass is made of melted sand
what is paper made from = what paper is made from = paper is made from wood
where do swallows go in winter = where swallows go in winter = European swallows fly to Africa in winter
where does the sun rise = where the sun rises = the sun rises in the east
where can I recycle batteries = where to recycle batteries = shops that sell batteries take the old ones back
why does iron rust = why iron rusts = iron rusts where water and air meet it
why is there salt in the sea = why the sea is salty = rivers carry salt from the rocks into the sea
why do onions make us cry = why onions make us cry = cut onions give off a gas that stings the eyes
why does ice float = why ice floats = ice is lighter than water
when do apples ripen = when apples ripen = most apples ripen in autumn
when is the longest day = when the longest day is = in the north, the longest day is in June
which fruit has the most vitamin C = which fruit has much vitamin C = kiwis, oranges and blackcurrants have a lot
which tea has no caffeine = which tea has no caffeine = herb teas like mint have no caffeine
who painted the Mona Lisa = who painted the Mona Lisa = Leonardo painted the Mona Lisa
who was the first man on the moon = who was first on the moon = Neil Armstrong was first on the moon
what is the opposite of north = what the opposite of north is = south is the opposite of north
what is the largest ocean = what the largest ocean is = the Pacific is the largest ocean
what is half of ninety = what half of ninety is = half of ninety is forty-five
what number do I call in an emergency in Europe = which emergency number works in Europe = in Europe, call one one two
what helps against moths = what helps against moths = lavender and cedar wood keep moths away
what takes rust off a pan = what takes rust off a pan = rub the rust off with salt and half a potato
""")

# Tellings alone: opinions, doings and happenings.
TELLINGS = rows("""
I think winter is the best season = what do you like most about winter
I do not like coffee = what do you drink in the morning
I believe dogs are smarter than people = what has your dog taught you
I saw a fox in the street {time} = what did the fox do
I met my old teacher {time} = did the teacher recognise you
I found a strange stone on the beach = what does the stone look like
I dreamt of flying = where did you fly in the dream
I was at the market {time} = what did you bring from the market
I went to the cinema with my {relative} = how was the film
I watched the match with {friend} = who won the match
I visited my {relative} {time} = how is your {relative}
I am waiting for my {relative} = when should your {relative} come
my {relative} is learning to dance = which dance does your {relative} like
{friend} and I started a band = which name has the band
my {pet} sleeps in my bed = does your {pet} leave you any room
my {pet} ate my {relative}'s hat = was your {relative} angry about the hat
I ate a whole cake {time} = what kind of cake was it
I tried snails {time} = what did the snails taste like
I collect old stamps = which stamp is your favourite
I am going to Greece in {month} = what will you see in Greece
I want to live by the sea = what draws you to the sea
I am looking for a flat = where should the flat be
I plan to change jobs = what would you like to do instead
I work in a bakery = when does your day in the bakery begin
I am a nurse = on which ward do you work
I drive a bus = which line do you drive
I study history = which time in history do you like best
I grew up on a farm = which animals were on the farm
I have {number} brothers and sisters = are you the oldest of them
I live in a tiny village = what is life in the village like
I do not own a television = what do you do in the evening instead
I sold my car = how do you get around without the car
I walked home in the rain {time} = did you get very wet
I got lost in the city {time} = how did you find your way
I stood on stage {time} = what did you do on stage
I was on the radio = what did you talk about on the radio
my neighbours keep chickens = do you get some of the eggs
a stranger gave me flowers = what did the stranger say
we had a power cut {time} = what did you do in the dark
we are having guests = what will you cook for your guests
I cleaned out the attic = what did you find in the attic
I like to sit by the window = what do you see from your window
I cannot stand loud music = where do you go for quiet
I have not read a newspaper for a year = do you miss the newspaper
maybe I will buy a dog = what kind of dog would suit you
I am building a boat with my {relative} = how big will the boat be
I ride to work on a scooter = how long does the ride take
I sang in the shower {time} = which song was it
I beat my {relative} at cards = was it a close game
I finally called {friend} = what did {friend} say
I sleep with the window open = do you hear the birds in the morning
my {relative} snores = how do you sleep with that
I am afraid of spiders = what do you do when you see one
I have a lucky coin = where did the coin come from
I was born on a ship = where was the ship going
I have never seen the sea = which sea would you like to see first
I won at cards against {friend} = what did {friend} say to that
I wear only black = how did you come to black
I think school begins too early = when would you begin school
I like rain on the roof = what do you do when it rains on the roof
my {relative} paints houses = which houses has your {relative} painted
I was in the newspaper {time} = what did the newspaper write about you
I am reading my grandmother's letters = what does your grandmother write about
I gave my coat to a stranger = what did the stranger say about the coat
we planted a hedge with {friend} = which plants did you take for the hedge
I am the youngest at work = do they treat you well at work
we have a piano nobody plays = would you like to play the piano
I counted the stars with my {relative} = how far did you count
I drank {number} cups of coffee = does your heart race after all that coffee
I keep a snail as a pet = what is the snail called
I moved my desk to the window = what do you see from your desk
I have a twin = do people mix you and your twin up
I swam in the river {time} = how cold was the river
I stayed in bed until noon = what did you do in bed so long
I joined the fire brigade = what was your first day with the brigade like
I bought far too many apples = what will you do with all the apples
my {pet} stole a sausage = did your {pet} look guilty
I saw the northern lights = which colours did the lights have
I gave up sugar in {month} = what do you miss most without sugar
""")
