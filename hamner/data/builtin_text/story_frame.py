"""How stories open and end, whatever their plot: hero, habit, friend, weather, ending."""

FRAME: dict[str, tuple[str, ...]] = {
    "opening": (
        "Once upon a time, there was a {hero.trait} {hero.kind} named {hero.name}, who lived {home}.",
        "{hero.name} was a {hero.trait} [little|young] {hero.kind} who lived {home}.",
        "[Long ago|Not so long ago], a [little|young] {hero.kind} called {hero.name} lived {home}.",
        "{home} lived a {hero.trait} {hero.kind}. [{hero.his} name was|Everyone called {hero.him}] {hero.name}.",
        "There was once a {hero.kind} named {hero.name}. {hero.he} was {hero.trait} and lived {home}.",
        "Have you heard of {hero.name}? {hero.he} was a {hero.trait} {hero.kind} who lived {home}.",
    ),
    "habit": (
        "{hero.name} loved {hobby}[ more than anything else|].",
        "[Every day|Most of all], {hero.he} liked {hobby}.",
        "{hero.he} was never bored, because {hero.he} liked {hobby}.",
        "[Nothing|Hardly anything] made {hero.him} happier than {hobby}.",
        "If you asked {hero.him} what {hero.he} liked best, {hero.he} said: {hobby}.",
    ),
    "friend": (
        "{hero.his} best friend was {friend.name}, a {friend.trait} {friend.kind}.",
        "{hero.he} had a friend named {friend.name}, and the two [were always together|shared everything].",
        "Next door lived {friend.name}, a {friend.trait} {friend.kind}[, and the two were good friends|].",
        "On most days {hero.he} played with {friend.name}, the {friend.kind} from [next door|across the road].",
        "Not far away lived a {friend.kind} named {friend.name}, who was {friend.trait}.",
    ),
    "weather": (
        "[That day|It was a {day}, and] the sun was [warm|bright|shining] and the birds were singing.",
        "It was [cold|windy|foggy], and [nobody else was outside|the sky was grey].",
        "It had rained all night, and there were puddles everywhere.",
        "[The first snow|Fresh snow] lay on the roofs.",
        "It was a [quiet|bright|golden] [autumn|spring|summer] morning.",
    ),
    "ending": (
        "[From that day on|Ever after], {hero.name} and {friend.name} were the best of friends.",
        "That night, {hero.name} fell asleep with a smile.",
        "And {hero.name} never forgot [that day|it].",
        '"[What a day|That was a good day]!" said {hero.name}[, and yawned|]. Then {hero.he} went to bed.',
        "[In the evening|When the stars came out], they all [ate|had] {food} together, and {hero.name} [told "
        "the whole story|was happy].",
        "The next morning, {hero.name} [told everyone about it|went to visit {friend.name} again].",
        "[So|And so] it was that everything [turned out|ended] well.",
    ),
}
