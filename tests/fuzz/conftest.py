"""Where the fuzzer finds the helpers of other tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "hamner" / "inference"))
