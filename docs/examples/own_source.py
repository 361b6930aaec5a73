"""A data source of your own: a folder DIR/wiki/ of text, read under the folder's name.

    python docs/examples/own_source.py text
    hamner prepare_data --config smoke --data text --out shards 'mix={wiki=0.3,fineweb_edu=0.7}'

Data out: DIR/wiki/articles.jsonl and DIR/fineweb_edu/*.txt, a few hundred made-up documents each.
"""

import json
import random
import sys
from pathlib import Path

folder = Path(sys.argv[1])
words = ["river", "stone", "lamp", "garden", "winter", "engine", "letter", "harbour", "music", "copper", "bridge"]
draw = random.Random(0)


def article(title: str, sentences: int) -> str:
    lines = [" ".join(draw.choices(words, k=draw.randint(6, 12))).capitalize() + "." for _ in range(sentences)]
    return f"{title}\n\n" + " ".join(lines)


(folder / "wiki").mkdir(parents=True)
with (folder / "wiki" / "articles.jsonl").open("w", encoding="utf-8") as file:  # one {"text": ...} a line
    for number in range(400):
        file.write(json.dumps({"text": article(f"Wiki {number}", 40)}) + "\n")
(folder / "fineweb_edu").mkdir()
for number in range(400):  # or one document a file
    (folder / "fineweb_edu" / f"page_{number}.txt").write_text(article(f"Page {number}", 40), encoding="utf-8")
