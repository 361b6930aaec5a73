"""Pairs of opposite words (antonyms), each word in one pair alone."""

from hamner.data.builtin_text.words import each_word

PAIRS = tuple(
    tuple(pair.split("-"))
    for pair in each_word(
        """
        hot-cold big-small tall-short fast-slow light-dark wet-dry open-shut loud-quiet rich-poor young-old
        happy-sad hard-soft full-empty thick-thin wide-narrow deep-shallow strong-weak early-late near-far high-low
        clean-dirty sharp-blunt sweet-sour rough-smooth brave-timid kind-cruel wise-foolish true-false
        right-wrong up-down inside-outside above-below before-after first-last always-never more-less
        many-few begin-end push-pull give-take buy-sell win-lose rise-fall laugh-cry love-hate
        remember-forget arrive-depart enter-leave build-destroy sleep-wake float-sink freeze-melt borrow-lend
        teach-learn speak-listen attack-defend accept-refuse allow-forbid grow-shrink gather-scatter
        day-night summer-winter morning-evening north-south east-west sunrise-sunset friend-enemy
        parent-child teacher-pupil question-answer war-peace birth-death success-failure truth-lie
        entrance-exit top-bottom front-back victory-defeat profit-loss courage-fear hope-despair
        ancient-modern public-private simple-complicated safe-dangerous polite-rude lazy-busy tight-loose
        straight-crooked fresh-stale rare-common cheap-costly alive-dead awake-drowsy guilty-innocent
        visible-hidden temporary-permanent generous-greedy proud-humble calm-nervous noisy-silent
        single-double plural-singular maximum-minimum import-export inhale-exhale
        whisper-shout praise-blame reward-punish raise-lower fill-drain hide-show join-separate
        """
    )
)
