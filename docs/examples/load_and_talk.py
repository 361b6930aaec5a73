"""Load a trained model and talk to it from Python.

    python docs/examples/load_and_talk.py [RUN|FOLDER]

RUN is a curriculum run (default: the newest), FOLDER any checkpoint's folder, such as results/curriculum/RUN/final.
"""

import sys

import hamner

model = hamner.load(sys.argv[1] if len(sys.argv) > 1 else None)

# The continuation of a text.
print(hamner.generate(model, "Once upon a time", max_new_tokens=40, temperature=0.7, seed=0))

# A conversation remembers its earlier turns; a reply comes whole, or in pieces as it is written.
conversation = hamner.Conversation(model, system="You are a friend.", temperature=0.7)
print("you: Hello\nhamner:", conversation.reply("Hello"))
print("you: What do you like?\nhamner: ", end="")
for piece in conversation.stream_reply("What do you like?"):
    print(piece, end="", flush=True)
print()
