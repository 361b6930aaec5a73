"""Built-in text, generated from a seed for runs without a network: stories, facts, dialogues and a voice.

    rng = random.Random(7)
    stories.document(rng)          # a children's story                           -> str
    facts.document(rng)            # an article about an invented, fixed world    -> str
    dialogues.conversation(rng)    # [{"role": "user", "content": ...}, ...]
    voice.document(rng)            # somebody talking about their workshop        -> str

The same generator state gives the same text on every machine. The texts are meant to keep a small model
learning for thousands of steps: first spelling and grammar, then who is who within a story, at last several
thousand facts about the world of `world.py`, some of which come up often and most rarely.

`phrasing.py` fills templates; `words.py` and `world.py` hold what they are filled with; files named after a
kind of template (`story_plots.py`, `fact_sentences.py`, ...) hold nothing but the sentences.
"""
