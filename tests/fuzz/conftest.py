"""Where the fuzzer finds the helpers of other tests."""

import sys
from pathlib import Path

HELPERS = Path(__file__).resolve().parents[1] / "hamner"
sys.path += [str(HELPERS / "inference"), str(HELPERS)]
