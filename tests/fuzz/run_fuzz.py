"""The long form of the fuzzer, `make fuzz`: 50,000 cases and more, and the page results/reference/fuzz.md.

    python tests/fuzz/run_fuzz.py [--examples N] [--keep FOLDER] [KIND ...]

Each kind gets its share of the examples, with another seed each time. A failure is shrunk by Hypothesis and written to
corpus/, where every later run of the tests reads it; the other kinds are fuzzed all the same. Ctrl-C writes no case.
--keep: counts are kept in FOLDER, kind by kind, and the page has all that lie there. Exit code 1 where a kind on the
page has a failure, or where all kinds are on it with fewer than 50,000 cases.
"""

import argparse
import json
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
PAGE = HERE.parents[1] / "results" / "reference" / "fuzz.md"
EXAMPLES = 52_000
LEAST = 50_000  # cases of all kinds together, which the page is to have
WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])-?\d[\w.,+]*|/[^\s:;,]+|\[[^]]*\]|\{[^}]*\}")
LONGEST = 400  # letters of a refusal, or of what went wrong, on the page


def kind_folder(name: str) -> str:
    """The folder of a kind in the corpus."""
    return name.replace(" ", "_")


def shape(line: str) -> str:
    """A refusal without its values: what it shares with others of its sort."""
    return WORDS.sub("…", line)[:300]


def fuzz(name: str, examples: int) -> dict:
    """The counts of one kind. A failure is among them, with its words in `problem`; its case is in the corpus."""
    from hypothesis import HealthCheck, given, settings
    from kinds import KINDS, check
    from refusals import Hang

    kind, refusals = KINDS[name], {}
    counts = {"examples": 0, "accepted": 0, "refused": 0, "failures": 0}
    failing = [b""]  # the last of them is as small as Hypothesis found it
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
            try:
                lines = check(kind, case, folder)
            except Hang as hang:
                # Hypothesis shrinks only an Exception. A smaller case may take the whole 10 s again, but it ends the
                # search after 300 s, with the smallest that it has met.
                failing[0] = case
                raise AssertionError(f"a hang: {hang}") from None
            except Exception:
                failing[0] = case
                raise
            counts["examples"] += 1
            counts["refused" if lines else "accepted"] += 1
            for line in lines:
                line = line.replace(str(folder), "DIR").replace(f"{HERE.parents[1]}/", "")
                refusals.setdefault(shape(line), line)

        begin = time.monotonic()
        try:
            examine()
        except Exception as error:
            path = CORPUS / kind_folder(name) / f"case_{int(time.time())}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(failing[0])
            traceback.print_exc(limit=-6)
            print(f"{name}: {path}", file=sys.stderr)
            problem = f"{type(error).__name__}: {error}".replace(str(folder), "DIR")
            counts |= {"failures": 1, "problem": problem, "case": f"{path.parent.name}/{path.name}"}
    return counts | {"seconds": time.monotonic() - begin, "refusals": list(refusals.values())}


def page(results: dict[str, dict]) -> str:
    """The page of all counts."""
    from readers import DRAWN_OF

    total = {key: sum(row[key] for row in results.values()) for key in ("examples", "accepted", "refused", "failures")}
    lines = [
        "# Bad input, systematically",
        "",
        "Written by `make fuzz` (tests/fuzz/run_fuzz.py). A case is a valid input with something wrong in it, or just",
        "anything; it is read by the functions that the commands call. It is accepted or refused in words: all else, a",
        "traceback, a hang, a line that steers the terminal, a file written, is a failure, with which its kind ends:",
        "its counts then hold what was tried to make the failing case smaller. Past failures are kept in",
        "tests/fuzz/corpus/.",
        "",
        f"Of the reports, one case in {DRAWN_OF} has its charts drawn, which takes nine tenths of the time; in the",
        "others everything but the pictures is read, checked and written.",
        "",
        "| kind | cases | accepted | refused | refusals of different words | tracebacks, hangs | s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in results.items():
        counts = [row["examples"], row["accepted"], row["refused"], len(row["refusals"]), row["failures"]]
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {row['seconds']:.0f} |")
    counts = [total["examples"], total["accepted"], total["refused"]]
    lines += [f"| all | {' | '.join(f'{count:,}' for count in counts)} | | {total['failures']} | |", ""]
    failed = {name: row for name, row in results.items() if row["failures"]}
    if failed:
        lines += [
            "## Failures",
            "",
            *(f"- **{name}**, `{row['case']}`: {_code(row)}" for name, row in failed.items()),
            "",
        ]
    lines += [
        "## Refusals",
        "",
        "Every one of different words once, with the values of the first case that met it.",
        "",
    ]
    for name, row in results.items():
        lines += [f"<details><summary>{name}: {len(row['refusals']):,}</summary>", "", "```text"]
        lines += [line[:LONGEST].replace("```", "'''") for line in sorted(row["refusals"])]
        lines += ["```", "", "</details>", ""]
    return "\n".join(lines)


def _code(row: dict) -> str:
    """What went wrong, in one line."""
    return f"`{' '.join(row['problem'].replace('`', chr(39)).split())[:LONGEST]}`"


def problems(results: dict[str, dict], kinds: Sequence[str]) -> list[str]:
    """Why the page is not what it should be: failures, and too few cases where it has all kinds."""
    lines = [f"failed: {name}: {_code(row)}" for name, row in results.items() if row["failures"]]
    cases = sum(row["examples"] for row in results.values())
    if set(results) >= set(kinds) and cases < LEAST:
        lines.append(f"too few cases: {cases:,} of all kinds, {LEAST:,} are asked for; give more --examples")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--examples", type=int, default=EXAMPLES, help="of all kinds together (default: %(default)s)")
    options.add_argument("--keep", type=Path, metavar="FOLDER")
    options.add_argument("kinds", nargs="*", metavar="KIND")
    asked = options.parse_args(arguments)
    from kinds import KINDS

    shares = sum(kind.share for kind in KINDS.values())
    keep = asked.keep or Path(tempfile.mkdtemp())
    keep.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    stored, results = {name: keep / f"{kind_folder(name)}.json" for name in KINDS}, {}
    for name in asked.kinds or KINDS:
        result = fuzz(name, -(-asked.examples * KINDS[name].share // shares))
        stored[name].write_text(json.dumps(result), encoding="utf-8")
        print(f"{name}: {result['examples']:,} cases in {result['seconds']:.0f} s", flush=True)
        results = {
            name: json.loads(path.read_text(encoding="utf-8")) for name, path in stored.items() if path.is_file()
        }
        PAGE.write_text(page(results), encoding="utf-8")
    print(PAGE)
    lines = problems(results, list(KINDS))
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "hamner" / "inference"), str(HERE.parents[1])]
    raise SystemExit(main())
