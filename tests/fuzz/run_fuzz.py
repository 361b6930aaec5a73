"""The long form of the fuzzer, `make fuzz`: 50,000 cases and more, and the page results/reference/fuzz.md.

    python tests/fuzz/run_fuzz.py [--examples N] [--keep FOLDER] [KIND ...]

Each kind gets its share of the examples, with another seed each time. A failure is shrunk by Hypothesis and written to
corpus/, where every later run of the tests reads it. --keep: counts are kept in FOLDER, kind by kind, and the page has
all that lie there.
"""

import argparse
import json
import re
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
PAGE = HERE.parents[1] / "results" / "reference" / "fuzz.md"
EXAMPLES = 52_000
WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])-?\d[\w.,+]*|/[^\s:;,]+|\[[^]]*\]|\{[^}]*\}")
MOST_REFUSALS = 60  # of one kind that the page shows


def kind_folder(name: str) -> str:
    """The folder of a kind in the corpus."""
    return name.replace(" ", "_")


def shape(line: str) -> str:
    """A refusal without its values: what it shares with others of its sort."""
    return WORDS.sub("…", line)[:300]


def fuzz(name: str, examples: int) -> dict:
    """The counts of one kind. Raises what Hypothesis found, the case written to the corpus."""
    from hypothesis import HealthCheck, given, settings
    from kinds import KINDS, check

    kind, refusals = KINDS[name], {}
    counts = {"examples": 0, "accepted": 0, "refused": 0, "failures": 0}
    last = [b""]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kind.make(folder)

        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        @given(kind.cases)
        def examine(case):
            last[0] = case
            lines = check(kind, case, folder)
            counts["examples"] += 1
            counts["refused" if lines else "accepted"] += 1
            for line in lines:
                line = line.replace(str(folder), "DIR")
                refusals.setdefault(shape(line), line)

        begin = time.monotonic()
        try:
            examine()
        except BaseException:
            path = CORPUS / kind_folder(name) / f"case_{int(time.time())}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(last[0])
            print(f"{name}: {path}", file=sys.stderr)
            raise
    return counts | {"seconds": time.monotonic() - begin, "refusals": list(refusals.values())}


def page(results: dict[str, dict]) -> str:
    """The page of all counts."""
    total = {key: sum(row[key] for row in results.values()) for key in ("examples", "accepted", "refused", "failures")}
    lines = [
        "# Bad input, systematically",
        "",
        "Written by `make fuzz` (tests/fuzz/run_fuzz.py). A case is a valid input with something wrong in it, or just",
        "anything; it is read by the functions that the commands call. It is accepted or refused in words: all else, a",
        "traceback, a hang, a line that steers the terminal, a file written, is a failure. Past failures are kept in",
        "tests/fuzz/corpus/.",
        "",
        "| kind | cases | accepted | refused | refusals of different words | tracebacks, hangs | s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in results.items():
        counts = [row["examples"], row["accepted"], row["refused"], len(row["refusals"]), row["failures"]]
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {row['seconds']:.0f} |")
    counts = [total["examples"], total["accepted"], total["refused"]]
    lines += [f"| all | {' | '.join(f'{count:,}' for count in counts)} | | {total['failures']} | |", ""]
    for name, row in results.items():
        lines += [f"## {name}", "", "```text"]
        shown = sorted(row["refusals"])[:MOST_REFUSALS]
        lines += [line[:400].replace("```", "'''") for line in shown]
        rest = len(row["refusals"]) - len(shown)
        lines += [f"and {rest} more"] if rest else []
        lines += ["```", ""]
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--examples", type=int, default=EXAMPLES)
    options.add_argument("--keep", type=Path)
    options.add_argument("kinds", nargs="*")
    asked = options.parse_args()
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "hamner" / "inference"), str(HERE.parents[1])]
    from kinds import KINDS

    shares = sum(kind.share for kind in KINDS.values())
    keep = asked.keep or Path(tempfile.mkdtemp())
    keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    failed = []
    for name in asked.kinds or KINDS:
        try:
            result = fuzz(name, -(-asked.examples * KINDS[name].share // shares))
        except KeyboardInterrupt:
            raise
        except BaseException:
            traceback.print_exc(limit=-6)
            failed.append(name)
            continue
        (keep / f"{kind_folder(name)}.json").write_text(json.dumps(result), encoding="utf-8")
        print(f"{name}: {result['examples']:,} cases in {result['seconds']:.0f} s", flush=True)
        stored = {name: keep / f"{kind_folder(name)}.json" for name in KINDS}
        results = {
            name: json.loads(path.read_text(encoding="utf-8")) for name, path in stored.items() if path.is_file()
        }
        PAGE.write_text(page(results), encoding="utf-8")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    print(PAGE)


if __name__ == "__main__":
    main()
