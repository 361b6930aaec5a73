"""Twelve plots of stories, made of beats with several wordings each; `story_frame.py` holds openings and endings.

Values come from `stories.py`: {hero}, {friend} and {elder} with .name .kind .trait .he .him .his .himself,
and things. A beat is complete sentences; a beat that opens with a quotation starts a new paragraph.
"""

Beat = tuple[str, ...]

_LOST_THING: tuple[Beat, ...] = (
    (
        "One [day|morning], {hero.his} {thing} was gone. {hero.name} had played with it near {place} the day before.",
        "{hero.name} had a {thing}, a present from {elder.name}. But on {day} {hero.he} could not find it anywhere.",
        "On the way to {place}, {hero.name} lost {hero.his} {thing}. {hero.he} [only noticed it at "
        "home|noticed it too late].",
    ),
    (
        "{hero.he} looked {spot}. {hero.he} looked {other_spot}. The {treasure} was not there.",
        "First {hero.name} searched {spot}, and then {other_spot}, but found only [dust|an old sock|a sleepy beetle].",
        "It was not {spot}, and it was not {other_spot}[ either|]. {hero.name} [began to cry|grew sad].",
    ),
    (
        '"Why are you so sad?" asked {friend.name}. "I have lost my {thing}," said {hero.name}. '
        '"[Then|Come,] let us look together."',
        '"Do not cry," said {friend.name}. "[Four|Two pairs of] eyes see more than [two|one]. Where did you '
        'see your {treasure} last?"',
        '{friend.name} came by and heard what had happened. "I will help you," said {friend.name} at once.',
    ),
    (
        'They [looked|searched] for [an hour|a long time]. At last {friend.name} called, "Here it is!" The '
        "{thing} was {third_spot}.",
        "Together they went back, step by step. And there, {third_spot}, lay the {thing}!",
        "{friend.name} had an idea and looked {third_spot}. [Something shone there|There was something "
        "{colour}]. It was the {treasure}!",
    ),
    (
        '"[Thank you|Oh, thank you], {friend.name}!" said {hero.name}, and hugged {friend.him}.',
        "{hero.name} [jumped for joy|laughed] and gave {friend.name} [half of {hero.his} {food}|a big hug].",
        "{hero.name} was so glad that {hero.he} let {friend.name} [keep|play with] the {treasure} [for a "
        "whole day|until {day}].",
    ),
)

_SAVING_UP: tuple[Beat, ...] = (
    (
        "In the window of the shop, {hero.he} saw a {thing}. {hero.name} wanted it very much, but it cost "
        "{number} coins.",
        "At the market, {elder.name} sold a {thing} for {number} coins. {hero.name} had only [one|two].",
        '{hero.name} wished for a {thing}. "It costs {number} coins," said {elder.name}, "and you have to earn them."',
    ),
    (
        "So {hero.name} [worked|helped] every day. {hero.he} [swept the yard|carried water|fed the hens] and "
        "[picked berries|washed the windows|stacked the wood].",
        "{hero.name} [carried baskets|sold flowers|brushed the donkey] for {elder.name}, and each day "
        "{hero.he} got one coin.",
        '"I can [sweep|weed the garden|peel potatoes]," said {hero.name}, and {elder.name} nodded. "One coin '
        'a day," {elder.he} said.',
    ),
    (
        "Soon {hero.he} had {number} coins. On the way to the shop, {hero.he} met {friend.name}, who was "
        "[crying|very sad].",
        "After many days, {hero.name} had enough. But then {friend.name} came [running|slowly] down the lane "
        "with tears in {friend.his} eyes.",
    ),
    (
        '"I broke my mother\'s {other_thing}," said {friend.name}, "and I have no money for a new one."',
        '"[The wind|The river] took my {other_thing}," {friend.name} said, "and I need it [tomorrow|on {day}]."',
    ),
    (
        '{hero.name} looked at the coins. Then {hero.he} gave [half of them|them all] to {friend.name}. "[A '
        "{treasure} can wait|I can "
        'earn new ones]," {hero.he} said.',
        "{hero.name} thought for a moment and put the coins into {friend.name}'s hand. \"You need them "
        'more," {hero.he} said.',
    ),
    (
        "{elder.name} had seen everything. The next day, the {thing} stood at {hero.name}'s door.",
        "When {elder.name} heard of it, {elder.he} smiled and gave {hero.name} the {thing} [for nothing|as a present].",
    ),
)

_BUILDING: tuple[Beat, ...] = (
    (
        "One day, {hero.name} decided to build a {buildable}. {hero.he} [gathered|found] wood, [string and "
        "nails|paper and glue].",
        '"I am going to build a {buildable}," {hero.name} told {friend.name}. "[It will be the best in the '
        'world|You will see]!"',
    ),
    (
        "{hero.he} worked [all morning|until noon|for {number} days]. But when {hero.he} tried it out, it "
        "[broke|fell apart|tipped over].",
        "It looked [fine|wonderful], but at {place} [a gust of wind broke it|one side came loose] and "
        "{hero.name} sat among the pieces.",
    ),
    (
        '"I will never build anything again," {hero.he} said. "[Never is a long time|Mine broke {number} '
        'times]," said {elder.name}.',
        "{hero.name} [kicked a stone|was angry] and wanted to give up. {elder.name} looked at the pieces. "
        '"[Hm|Well], [the wood is too thin|the knots are too loose|one side is too heavy]," {elder.he} said.',
    ),
    (
        '"Measure twice and cut once," {elder.he} said, and showed {hero.him} how [to tie a strong knot|to '
        "hold the saw].",
        "{elder.name} lent {hero.him} [a better saw|a good rope|a small hammer], and {friend.name} came to "
        "hold the other end.",
        "So they began again, [slowly|without hurry]. {friend.name} held the pieces, and {hero.name} "
        "[tied|glued|nailed] them together.",
    ),
    (
        "This time, it held. The {buildable} was [a little crooked|{colour} and beautiful], and {hero.name} "
        "was proud of it.",
        "In the end, the {buildable} stood near {place}, and [everyone came to see it|all the children clapped].",
    ),
)

_AFRAID: tuple[Beat, ...] = (
    (
        "But {hero.name} was afraid of [the dark|thunder|deep water|the big dog near {place}|the tall "
        "ladder]. [Nobody knew|{hero.he} told nobody].",
        "There was one thing {hero.name} did not like: [the dark cellar|loud storms|the narrow bridge|climbing down].",
    ),
    (
        "One evening, {hero.his} {thing} was left [outside|{spot}], and {hero.name} had to fetch it "
        "[alone|by {hero.himself}].",
        "On {day}, {friend.name} was waiting at {place}, and {hero.name} had to go there [alone|all by "
        "{hero.himself}].",
    ),
    (
        '{hero.his} knees shook. "I cannot do it," {hero.he} whispered.',
        "{hero.name} took one step and stopped. {hero.his} heart beat [fast|like a drum].",
    ),
    (
        '"When I was small, I was afraid too," said {elder.name}. "I sang a song, and [it helped|the fear '
        'grew smaller]."',
        '{friend.name} took {hero.his} hand. "[Count|Let us count] to {number}, and then we go together," '
        "said {friend.name}.",
        '"[Being brave|To be brave]," {elder.name} said, "does not mean that you are not afraid. It means '
        'that you go on."',
    ),
    (
        "So {hero.name} [sang|counted|took a deep breath], and went on, one step after the other. [Nothing "
        "bad happened|It was not so bad at all].",
        "{hero.name} [closed|opened] {hero.his} eyes, took a deep breath, and did it. Then {hero.he} laughed out loud.",
    ),
    (
        '"I did it!" {hero.he} cried. "I knew you could," said {friend.name}.',
        "After that, {hero.name} was still a little afraid, but [only a little|never as much as before].",
    ),
)

_FOUND_ANIMAL: tuple[Beat, ...] = (
    (
        "near {place}, {hero.name} heard a [small|thin|sad] voice. A tiny {pet} was sitting {spot}, all alone.",
        "One morning, {hero.name} found a {pet} {spot}. It was [cold|hungry|shaking] and looked at "
        "{hero.him} with big eyes.",
    ),
    (
        '"Where is your mother?" asked {hero.name}. The {pet} [only blinked|did not answer]. {hero.name} '
        "gave it some {food}.",
        "{hero.name} wrapped the {pet} in {hero.his} scarf and gave it [water|a little {food}].",
    ),
    (
        '"We must find its family," said {friend.name}. They [asked|went] at {other_place}, but nobody had '
        "lost a {pet}.",
        "{hero.name} and {friend.name} carried the {pet} to {other_place}. No other {pet} was there.",
    ),
    (
        '"[Look for tracks|Listen at dusk]," {elder.name} told them. "A mother [always comes back to '
        'look|calls for her young]."',
        '{elder.name} knew what to do. "Take it back to the place where you found it," {elder.he} said, "and '
        "wait [quietly|a little "
        'way off]."',
    ),
    (
        "They waited [until the sun was low|behind a bush]. Then a big {pet} [came|stepped] out, and the "
        "little one ran to it.",
        "When it grew dark, something moved [in the grass|nearby]. It was the mother, and the little {pet} "
        "[jumped|ran] to her.",
    ),
    (
        '{hero.name} was [a little sad|sad] and glad at the same time. "Goodbye, little {pet}," {hero.he} said.',
        "Sometimes, when {hero.name} [walked|went] to {place}, a {pet} looked out and seemed to greet {hero.him}.",
    ),
)

_QUARREL: tuple[Beat, ...] = (
    (
        'One day, {hero.name} and {friend.name} found a {thing} {spot}. "It is mine!" cried {hero.name}. "I '
        'saw it first!" cried '
        "{friend.name}.",
        "There was only one {thing}, and both {hero.name} and {friend.name} wanted it. They pulled [and "
        "pulled|and shouted].",
    ),
    (
        "They [shouted|quarrelled] until [the birds flew away|their heads were red]. Then each went home alone.",
        '"You are not my friend any more," said {friend.name}, and ran [away|off to {place}].',
    ),
    (
        "At home, {hero.name} [sat|looked out of the window]. The {treasure} was no fun without {friend.name}.",
        "{hero.name} had the {treasure} now, but nobody to play with. It was [very quiet|a long afternoon].",
    ),
    (
        '"What is the matter?" asked {elder.name}. {hero.name} told {elder.him} everything. "[Which|So '
        'which] do you want more," asked {elder.name}, "a {treasure} or a friend?"',
        '"One {treasure} and two [hands|children] is not a problem," said {elder.name}. "[Take turns|You can '
        'take turns]."',
    ),
    (
        '{hero.name} ran to {place}. {friend.name} was [already there|sitting there alone]. "I am sorry," '
        "they both said at once, and laughed.",
        '{hero.name} took the {treasure} to {friend.name}. "You first," {hero.he} said. "No, you," said {friend.name}.',
    ),
    (
        "After that, {hero.name} had the {treasure} [on odd days, and {friend.name} on even days|in the "
        "morning, and {friend.name} in the afternoon].",
        "They played with the {treasure} together until [it was dark|supper], and it was twice as much fun.",
    ),
)

_STORM: tuple[Beat, ...] = (
    (
        "One night, a storm came. The wind [howled|shook the house] and rain [beat against the windows|ran "
        "down the street].",
        "In the afternoon, black clouds came over {place}. Soon it [rained|poured] as never before.",
    ),
    (
        "In the morning, the roof of {elder.name}'s house was [gone|broken], and all {elder.his} things were wet.",
        "The storm had taken [the door|half of the roof] from the house where {elder.name} lived. {elder.he} "
        "[stood|sat] in the rain.",
    ),
    (
        '"We have to help," said {hero.name}. "But we are [so small|only two]," said {friend.name}. "[Then '
        "we ask the others|Small hands "
        'help too]," {hero.name} answered.',
        "{hero.name} did not wait. {hero.he} ran from door to door and called everybody. {friend.name} "
        "brought a [ladder|bucket of nails].",
    ),
    (
        "All came. One carried [straw|boards], another brought [tools|soup], and {hero.name} and "
        "{friend.name} handed up the nails.",
        "They worked the whole {day}. {hero.name} [dried|saved] the books, and {friend.name} [swept|carried] "
        "the water out.",
    ),
    (
        "In the evening, the house had a new roof, and {elder.name} [cooked|baked] {food} for them all.",
        '"I do not know how to thank you," said {elder.name}, and gave {hero.name} a {thing}.',
    ),
)

_SURPRISE: tuple[Beat, ...] = (
    (
        "On {day} it would be {friend.name}'s birthday, and {hero.name} wanted to surprise {friend.him}. "
        "{hero.he} [had found|had made] a {thing}.",
        "{friend.name} had been ill for {number} days. {hero.name} wanted to cheer {friend.him} up with a {thing}.",
    ),
    (
        "It had to be a secret. {hero.name} hid the {treasure} {spot}. But [soon|an hour later] "
        '{friend.name} [came by and asked|asked], "What are you doing?" "Oh, nothing," said {hero.name}, and '
        "turned red.",
        '{hero.name} told only {elder.name}. "[I will help|Good idea]," {elder.he} said, "and I will '
        '[bake|bring] {food}."',
    ),
    (
        '{friend.name} noticed that {hero.name} had no time. "[Perhaps|Maybe] {hero.he} does not like me any '
        'more," {friend.he} thought.',
        "Then [the dog|a goose] ran off with the {treasure}! {hero.name} [ran after it|chased it] all the "
        "way to {place}.",
    ),
    (
        'On {day}, {hero.name} knocked at {friend.name}\'s door. "Close your eyes," {hero.he} said, "and '
        'come with me to {place}."',
        "When the day came, everybody hid near {place}. {friend.name} came around the corner, and they all "
        "[jumped up|cheered].",
    ),
    (
        "They had {food}, they had music, and on the table lay the {thing}. {friend.name} could not say a "
        "word for joy.",
        '{friend.name} [opened|unpacked] the {thing} and [laughed|cried a little]. "So that was your '
        'secret!" {friend.he} said.',
    ),
)

_STRANGE_NOISE: tuple[Beat, ...] = (
    (
        "One night, a [strange|funny] noise woke {hero.name}. It came from [above|outside|the kitchen]. Tap, tap, tap.",
        "Every night, {hero.name} heard something {spot}. [Scratch, scratch|Knock, knock], it went.",
    ),
    (
        '"[A ghost|A giant|A robber]!" thought {hero.name}, and pulled the blanket over {hero.his} head.',
        '"I heard it too," said {friend.name} the next day. "[Perhaps it is a dragon|It may be a ghost]."',
    ),
    (
        "{hero.name} took a [lamp|lantern] and a {thing}, and {friend.name} [took a broom|came along]. They "
        "walked on the tips of their toes.",
        "The next night, they [waited|hid] [behind the door|under the table|on the stairs] with a lamp. "
        "{friend.name} held {hero.his} hand [tightly|tight].",
    ),
    (
        "Tap, tap! {hero.name} lifted the lamp, and there sat a [small|fat|surprised] {pet}, {third_spot}.",
        "Something moved {third_spot}. It was not a ghost. It was a {pet}, and it was [eating|looking for] {food}!",
    ),
    (
        "[They laughed|Both laughed] until [their bellies hurt|they had to sit down]. Even {elder.name} woke "
        "up and laughed with them.",
        '"[So you are the ghost|There is our ghost]," said {hero.name}. From then on, {hero.he} put [a bowl '
        "of water|some {food}] out for it.",
    ),
)

_ERRAND: tuple[Beat, ...] = (
    (
        "One {day}, {hero.name} had to bring {food} to {elder.name}, who lived on the other side of {place}.",
        '"Take this {thing} to {elder.name}," said {hero.his} mother, "and do not lose it on the way."',
    ),
    (
        "Near {other_place}, the path [was under water|was blocked by a tree|split in two]. {hero.name} did "
        "not know what to do.",
        "Half way, thick fog came up, and {hero.name} [lost the path|could not see the bridge].",
    ),
    (
        'A {pet} sat by the path. "Follow me," it said[, because in stories they can|]. "I know [a way '
        'round|every stone here]."',
        'Luckily, {friend.name} came along with a [rope|lantern|cart]. "[I know another way|We will '
        'manage]," said {friend.name}.',
    ),
    (
        "They [climbed|walked] over [roots|stones] and under [branches|an old fence], {number} hundred "
        "steps, and then they saw a light.",
        "Step by step they went on, and {hero.name} held the basket [tight|with both hands]. At last they "
        "saw [smoke|a lighted window].",
    ),
    (
        '"[There you are|You have come all this way]!" said {elder.name}. "Sit down by the fire and get warm."',
        '{elder.name} was waiting at the door, and [was so glad|gave {hero.him} a kiss]. "What a brave '
        '{hero.kind} you are," {elder.he} '
        "said.",
    ),
)

_SEED: tuple[Beat, ...] = (
    (
        'In spring, {elder.name} gave {hero.name} a [small|brown|round] seed. "[Plant it|Put it in the '
        'earth]," {elder.he} said, "and be patient."',
        "{hero.name} found a seed {spot} and planted it [behind the house|next to the fence|in an old bucket].",
    ),
    (
        '{hero.name} gave it water every day. After {number} days, there was still nothing. "It is broken," '
        "said {hero.name}.",
        "The next day, {hero.he} looked, and the day after that. Nothing. {hero.name} wanted to dig it up again.",
    ),
    (
        '"Seeds [are slow|sleep first]," said {friend.name}. "[Sing to it|Tell it a story], and wait."',
        '"Wait," said {elder.name}. "[It is working in the dark|First come the roots, and nobody sees them]."',
    ),
    (
        "One morning, there was a [tiny|green] tip. It grew, and by summer it was as tall as {hero.name}. "
        "[It had {colour} flowers|Bees came from all sides].",
        "Then rain fell, and a green leaf came up. {hero.name} [danced|called everyone]. But snails came "
        "too, and {friend.name} carried them to {place}, one by one.",
    ),
    (
        "In autumn, there was enough for {food} [for everyone|and more], and {hero.name} kept {number} seeds "
        "for the next year.",
        '"You see," said {elder.name}, "[good things take time|you only had to wait]." {hero.name} gave a '
        "seed to {friend.name}.",
    ),
)

_RACE: tuple[Beat, ...] = (
    (
        "On {day}, there was a race from {place} to {other_place}. {hero.name} wanted to win the {thing}.",
        "Every year, the fastest runner got a {thing}. This year, {hero.name} had practised for {number} weeks.",
    ),
    (
        '"Ready, steady, go!" called {elder.name}. {hero.name} ran [like the wind|as fast as {hero.he} '
        "could] and was soon in front.",
        "They all started together. {hero.name} was [second|in front], and {friend.name} was right behind {hero.him}.",
    ),
    (
        "Near the end, {hero.name} heard a cry. {friend.name} had fallen and [hurt {friend.his} foot|could "
        "not get up].",
        "Then a {pet} sat in the middle of the path, [caught in a net|with a thorn in its foot]. The others "
        "[ran|jumped] past.",
    ),
    (
        "{hero.name} looked at the finish. Then {hero.he} stopped[ and turned back|] to help. [Everyone else "
        "ran on|The race went on without {hero.him}].",
        "{hero.name} did not think twice. {hero.he} stopped and helped, although {hero.he} could still have won.",
    ),
    (
        '{hero.name} came last, but all the people [clapped|cheered]. "[Some things matter more than '
        'winning|This is the real winner]," '
        "said {elder.name}.",
        "Somebody else got the {treasure}. But {elder.name} [shook {hero.his} hand|gave {hero.him} {food}] "
        'and said, "I saw what you did."',
    ),
)

PLOTS: dict[str, tuple[Beat, ...]] = {
    "lost thing": _LOST_THING,
    "saving up": _SAVING_UP,
    "building": _BUILDING,
    "afraid": _AFRAID,
    "found animal": _FOUND_ANIMAL,
    "quarrel": _QUARREL,
    "storm": _STORM,
    "surprise": _SURPRISE,
    "strange noise": _STRANGE_NOISE,
    "errand": _ERRAND,
    "seed": _SEED,
    "race": _RACE,
}
