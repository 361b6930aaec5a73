"""Data preparation of a league in a process of its own, while the driver loads PyTorch and starts Ray.

Both are work for the interpreter, and the threads of one process take turns at such work. The prepared text lies on
disk; what comes back are lines to print, problems, and the tokenizer's hash. It ends with the driver, at any moment:
the next preparation continues from what is on disk.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.runs.background import Background, Child, Send
from hamner.runs.trouble import machine_trouble
from tournament.budget import budgets
from tournament.entrants import all_sources, entrants, flops_per_token

Say = Callable[[str], None]
LINE, PROBLEMS, TOKENIZER = "line", "problems", "tokenizer"  # kinds of message


class BackgroundPreparation:
    """Starts at once, and says its lines as they come. To be closed."""

    def __init__(self, config: Config, folder: Path, say: Say) -> None:
        self._child = Child(_work, config, folder)
        self._listener = Background(lambda: self._listen(say), "preparing", may_be_left=True)

    def tokenizer_sha256(self) -> str:
        """Wait for the end. Raises BadInput for text that is wrong, Failed when the process ended without a result."""
        return self._listener.result()

    def close(self) -> None:
        """End the process, wherever it is."""
        self._child.close()

    def _listen(self, say: Say) -> str:
        while True:
            kind, content = self._child.receive()
            if kind == TOKENIZER:
                return str(content)
            if kind == PROBLEMS:
                raise BadInput(content)
            say(content)


def _work(send: Send, config: Config, folder: Path) -> None:
    """The process's work."""
    try:
        send((TOKENIZER, prepare_text(config, folder, lambda line: send((LINE, line)))))
    except BadInput as error:
        send((PROBLEMS, error.problems))
    except Exception as error:
        if machine_trouble(error) is None:  # that is said in a line
            traceback.print_exc()  # the driver is sent its first line alone
        raise


def hub_tokens(config: Config) -> int:
    """How far each source of the hub is streamed for a league, tokens."""
    league = config.tournament
    if league.budget == "seconds":
        return config.data.hub_tokens
    lengths = budgets(config, flops_per_token(config, entrants(config))).values()
    return max(budget.steps[-1] for budget in lengths) * league.batch_size * league.seq_len


def prepare_text(config: Config, folder: Path, say: Say) -> str:
    """Write tokenizer and tokens of the run; returns the tokenizer's hash. Raises BadInput."""
    from hamner.data.preparation.for_run import choose_tokenizer, prepare

    league = config.tournament
    corpus, tokenizer = prepare(
        config,
        folder / "data",
        all_sources(config),
        tokenizer=choose_tokenizer(config),
        seq_len=league.seq_len,
        hub_tokens=hub_tokens(config),
        say=say,
    )
    if league.lr == "probe":
        from tournament.evaluation import check_stretches  # loads PyTorch

        check_stretches(config, corpus)
    for source in league.mix:
        if source in corpus.manifest["sources"]:
            facts = corpus.manifest["sources"][source]
            say(
                f"{source}: {facts['documents']:,} documents, {facts['tokens']:,} tokens to train on; "
                f"{facts['heldout_documents']:,} documents held out, {facts['heldout_unigram_nats']:.3f} nats/token "
                "unigram entropy"
            )
    return tokenizer.sha256
