"""Table of settings that differ from their default (configuration diff), for reports.

In: the config of a run's config.json. Out: a part of a report. What a newer version no longer knows is shown as well.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from hamner.config.schema import Config
from hamner.reports.parts import DataTable, Paragraph
from hamner.runs.folders import changed_leaves
from hamner.runs.tables import Column

LONGEST_VALUE = 200  # characters
UNSET = "–"


def settings_table(config: Mapping[str, Any], sections: Collection[str]) -> DataTable | Paragraph:
    """Key, default and value of every setting that differs. sections: those that the run reads."""
    defaults = Config().model_dump(mode="json")
    rows = [
        [key, setting_text(default), setting_text(value)]
        for key, default, value in changed_leaves(
            {name: defaults.get(name) for name in sections if name in config},
            {name: config[name] for name in sections if name in config},
        )
    ]
    if not rows:
        return Paragraph("None." if config else "Not on record.")
    return DataTable([Column(heading, justify="left") for heading in ("key", "default", "here")], rows, look="roomy")


def setting_text(value: Any, most: int = LONGEST_VALUE) -> str:
    """A setting as JSON, "–" for none, of at most so many characters."""
    text = UNSET if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"
