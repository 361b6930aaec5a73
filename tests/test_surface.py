"""The frozen surface: names that users type or import. A change of it is deliberate, and a line in CHANGELOG.md.

`python tests/test_surface.py` writes the golden list anew.
"""

import difflib
import importlib
import re
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).with_name("golden_surface.txt")
COMMAND = "python tests/test_surface.py"


def surface() -> list[str]:
    """One line for each config key, each option of each command, each public name."""
    import hamner
    from curriculum.__main__ import COMMANDS as CURRICULUM
    from hamner.__main__ import COMMANDS
    from hamner.config.load import leaves
    from hamner.config.schema import Config, Entrant, ModelConfig, ParameterGroup
    from tournament.run import VERBS

    lines = [f"key {name}" for name in leaves(Config)]
    for kind in (Entrant, ParameterGroup, ModelConfig):
        lines += [f"key {kind.__name__}.{name}" for name in leaves(kind)]
    commands = {verb: module for verb, (module, _) in COMMANDS.items() if verb != "curriculum"}
    commands |= {f"curriculum {verb}": module for verb, (module, _) in CURRICULUM.items()}
    commands |= {f"tournament {verb}": module for verb, module in VERBS.items() if module not in commands.values()}
    for verb, module in commands.items():
        usage = importlib.import_module(module).parser().format_usage()
        lines += [f"option {verb} {option}" for option in re.findall(r"--[\w-]+", usage)]
    return lines + [f"name hamner.{name}" for name in hamner.__all__]


def test_what_users_type_has_not_changed():
    golden = GOLDEN.read_text(encoding="utf-8").splitlines()
    changes = [line for line in difflib.ndiff(golden, surface()) if line.startswith(("- ", "+ "))]
    assert changes == [], f"if this is meant, run `{COMMAND}` and add a line to CHANGELOG.md"


if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    GOLDEN.write_text("\n".join(surface()) + "\n", encoding="utf-8")
    print(f"{GOLDEN}: written")
