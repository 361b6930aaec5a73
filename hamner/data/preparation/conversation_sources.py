"""Sources of a fine-tuning's conversations (SFT data sets): those that a config means, identity among them.

Data in: a config. Data out: the sources by name and the shares asked for; or a BadInput, before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hamner.config.schema import Config
from hamner.data.builtin_text.identity import Identity
from hamner.data.preparation.inputs import check_data_path
from hamner.data.preparation.manifest import is_prepared
from hamner.data.sources import Source
from hamner.data.sources.conversations import IDENTITY, ConversationSource, choose_sources
from hamner.runs.folders import home_folder


def find_conversations(
    config: Config, recorded: Mapping[str, float] | None = None
) -> tuple[dict[str, ConversationSource], dict[str, float]]:
    """The sources of conversations, identity among them, and the shares asked for. Raises BadInput.

    recorded: the shares of a run that was begun before, perhaps by a version with other ones.
    """
    path, settings = config.data.path, config.finetuning
    check_data_path(path)
    if path == "builtin":
        folder = None
    elif path == "hub" or is_prepared(path):  # a folder of shards holds no text
        folder = (home_folder() / Path(config.data.local_path).expanduser()).resolve() / "sft"
    else:
        folder = Path(path).expanduser() / "sft"
    chosen, shares = choose_sources(settings.sources or recorded or {}, path, folder)
    if settings.identity:
        Identity.load(settings.identity_file)
        chosen[IDENTITY] = ConversationSource(IDENTITY, Source(IDENTITY), "identity")
    return chosen, shares
