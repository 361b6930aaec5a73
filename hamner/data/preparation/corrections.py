"""Preparation of corrections (feedback, SFT data): rows to train on and held out, beside a run's own conversations.

Of a correction the reply as it should have been is trained on, and all before it is only read. A quarter of the
messages is held out, by the project's hash, so that what was held out once always is.

Data in: corrections, the prepared conversations of the run that is to learn from them. Data out, in a new folder: its
rows, those of the corrections as the source `feedback`, and conversations.json. A correction that is left out is said.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hamner.config.errors import BadInput
from hamner.data.conversation_files import FACTS, row_sums, rows_file
from hamner.data.conversation_packing import pack
from hamner.data.conversation_rows import ConversationRows
from hamner.data.conversation_tokens import CLOSING, Labelled, Turn, encode_turns
from hamner.data.feedback import HELD_OUT, Feedback
from hamner.data.preparation.conversation_counts import Counts
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import write_bytes, write_json

SOURCE = KIND = "feedback"
FEWEST_HELD_OUT = 6  # messages: if all change for the better, that is beyond chance at 5 % (2 / 2⁶ = 3 %), 5 are not
ENOUGH = round(FEWEST_HELD_OUT / HELD_OUT)  # corrections, of which so many are held out


def check_enough(corrections: Sequence[Feedback], place: Path) -> None:
    """Raise BadInput for corrections that are too few to tell what they have changed. place: where they come from."""
    if not corrections:
        raise BadInput(
            f"no corrections in {place}: correct replies with /fix in `hamner chat --feedback`, or on the page of "
            f"`hamner serve --feedback`; about {ENOUGH} are needed"
        )
    held_out = len({each.group for each in corrections if each.is_held_out})
    if held_out < FEWEST_HELD_OUT or held_out == len({each.group for each in corrections}):
        raise BadInput(
            f"{len(corrections)} corrections in {place} are too few to tell whether they help: {held_out} of the "
            f"messages are held out (a quarter, by hash), where {FEWEST_HELD_OUT} are needed; if all of 5 change for "
            f"the better, that is chance in 6 of 100 runs, of 6 in 3. Correct about {ENOUGH} different messages"
        )


def base_conversations(run: Path | None) -> Path:
    """The prepared conversations of a run that was fine-tuned. Raises BadInput for another."""
    folder = run / "conversations" if run else None
    if folder is None or not (folder / FACTS).is_file():
        raise BadInput(
            f"{run or 'this model'} was not fine-tuned, so it so nothing of it was corrected: use `hamner sft` first"
        )
    return folder


def prepare_corrections(
    corrections: Sequence[Feedback],
    base: Path,
    tokenizer: Tokenizer,
    folder: Path,
    max_reply_tokens: int,
    say: Callable[[str], None],
) -> None:
    """Write the rows of the corrections into `folder`, with those of the base's conversations.

    base: as of base_conversations. Raises BadInput where too few are left, and for a source of the base that has the
    corrections' name.
    """
    before = ConversationRows(base, tokenizer.sha256)
    if before.sources.get(SOURCE, {}).get("kind", KIND) != KIND:
        raise BadInput(f"{base} has a source '{SOURCE}', the name of the corrections: rename its folder and train anew")
    kept, counts = _encoded(corrections, tokenizer, before.seq_len, max_reply_tokens)
    check_enough([each for each, _ in kept], folder)
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("train", "heldout"):
        ids = [labelled for each, labelled in kept if each.is_held_out == (side == "heldout")]
        rows = pack(ids, before.seq_len, f"{before.seed}/{SOURCE}/{side}")
        write_bytes(rows_file(folder, SOURCE, side), rows.tobytes(), mode=0o600)
        if side == "train":
            counts.conversations, counts.rows, counts.tokens = len(ids), len(rows), sum(map(len, ids))
            counts.trained_tokens = int((rows >= 0).sum())
        else:
            counts.heldout, counts.heldout_rows = len(ids), len(rows)
        for name in before.sources:
            if name != SOURCE:
                _link(rows_file(base, name, side), rows_file(folder, name, side))
    own = {"origin": "feedback", "revision": None, "license": "not stated", "kind": KIND, "threshold": HELD_OUT}
    facts = own | asdict(counts) | {"sha256": row_sums(folder, SOURCE)}
    sources = {name: facts for name, facts in before.sources.items() if name != SOURCE} | {SOURCE: facts}
    write_json(folder / FACTS, before.document | {"sources": sources})
    left_out = len(corrections) - len(kept)
    say(
        f"corrections: {counts.conversations} to train on, {counts.heldout} held out"
        + (f"; {left_out} left out, longer than max_reply_tokens or a row" if left_out else "")
    )


def _encoded(
    corrections: Sequence[Feedback], tokenizer: Tokenizer, seq_len: int, max_reply_tokens: int
) -> tuple[list[tuple[Feedback, Labelled]], Counts]:
    """The corrections that fit, with their labelled ids, and what became of the others."""
    counts, kept = Counts(records=len(corrections), replies=len(corrections)), []
    talks = [[*each.context, ("assistant", each.better)] for each in corrections]
    for each, turns in zip(corrections, encode_turns(tokenizer, talks), strict=True):
        if turns[-1].reply_tokens > max_reply_tokens:
            counts.too_long += 1
        elif (labelled := _labelled(turns, each.context[0][0] == "system", seq_len)) is None:
            counts.beyond_row += 1
        else:
            kept.append((each, labelled))
            counts.several += len(each.context) > 2
    return kept, counts


def _labelled(turns: Sequence[Turn], has_system: bool, seq_len: int) -> Labelled | None:
    """The ids of a conversation of which the last reply alone is trained on; None where its end does not fit a row.

    What does not fit is left out from the oldest exchange on, as a chat does.
    """
    system, talk = list(turns[:has_system]), list(turns[has_system:])
    while sum(len(turn.labelled) for turn in (*system, *talk)) + len(CLOSING) > seq_len:
        if len(talk) <= 2:
            return None
        del talk[:2]
    *read, last = (turn.labelled for turn in (*system, *talk))
    return np.concatenate([*(np.where(ids < 0, ids, ~ids) for ids in read), last, CLOSING])


def _link(source: Path, target: Path) -> None:
    """Let a file have another name, or copy it where the disk cannot do that."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
