"""Mutations of valid files: misspelt keys, values of another kind, bytes that are torn, and what else people type.

Data in: a valid document, or its bytes. Data out: Hypothesis strategies of bytes. What no writer of JSON or TOML would
write stands as a word such as `raw:deep` until the text is made (RAW).
"""

import json
import string

from hypothesis import strategies as st

RAW = {
    "digits": "9" * 5000,  # Python reads 4300
    "hexadecimal": "0x" + "f" * 9000,  # ... in decimal digits
    "overflow": "1e400",
    "nan": "NaN",
    "minus": "-Infinity",
    "small nan": "nan",
    "small inf": "inf",
    "deep": "[" * 150 + "]" * 150,  # pydantic reads 200 levels
    "deeper": '{"a":' * 300 + "1" + "}" * 300,
    "deepest": "[" * 20_000,
    "half": '"\\ud800"',  # of a surrogate pair
    "quote": '"',
    "date": "2026-11-30T07:00:00",
}
LOOK_ALIKES = str.maketrans("aceopxyisj", "асеорхуіѕј")  # Cyrillic
ODD_WORDS = [
    *(
        "",
        " ",
        "x",
        "\0",
        "a\0b",
        "\x1b[2J",
        "\u202egnp",
        "é",
        "日本",
        "\U0001f600",
        "..",
        "../..",
        "/",
        "~",
        "~nobody/x",
    ),
    *("a\nb", "-", "--help", "NaN", "inf", "1e999", "0x10", "1_000", "٣", "²", "true", "null", "[1,2]", "{a=1}"),
    *("9" * 5000, "a" * 300, "{0}", "%s", "${HOME}"),
]
WORDS = st.sampled_from(ODD_WORDS)
ODD_NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    10**6,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    10**18,
    10**30,
    10**400,
    -(10**400),
    1_000_000_007,
]
NUMBERS = st.one_of(
    st.sampled_from([*ODD_NUMBERS, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e-12, 1e15, 1e300, -1e300, 1.5]),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.one_of(
    NUMBERS, WORDS, st.booleans(), st.none(), st.sampled_from([f"raw:{name}" for name in RAW]), st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | WORDS, inner, max_size=4),
    max_leaves=8,
)
CHUNKS = st.one_of(
    st.binary(max_size=16),
    st.sampled_from(
        [b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b"\x1b[31m"]
    ),
    st.sampled_from([b'"', b"'", b"[", b"{", b"}", b",", b"=", b"\\", b"#", b"-->", b"1e400", b"NaN"]),
    st.sampled_from([b"[" * 30_000, b'{"a":' * 2000, b"1" * 5000, b"<" * 3000, "é".encode() * 3000]),
    st.sampled_from([b"a" * 1_000_000, b" " * 100_000 + b"x", b"\n" * 100_000 + b"x"]),
)
EDGE_LETTERS = string.ascii_lowercase + "_-. "


@st.composite
def misspelt(draw, word: str) -> str:
    """A word with a slip: a letter more, less or another, two in the other order, look-alikes, capitals, a space."""
    place = draw(st.integers(0, max(len(word) - 1, 0)))
    letter = draw(st.sampled_from(EDGE_LETTERS))
    slips = [
        word[:place] + word[place + 1 :],
        word[:place] + letter + word[place:],
        word[:place] + letter + word[place + 1 :],
        word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
        word.translate(LOOK_ALIKES),
        word.upper(),
        word + "s",
        f" {word}",
    ]
    return draw(st.sampled_from(slips))


def places(value, path=()):
    """The path of every part of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def _holder(document, path):
    for key in path[:-1]:
        document = document[key]
    return document, path[-1]


@st.composite
def mutated_documents(draw, document):
    """A document with one to three things wrong in it."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(document))
        if not known:
            return draw(VALUES)
        holder, key = _holder(document, draw(st.sampled_from(known)))
        kind = draw(st.sampled_from(["value", "value", "delete", "misspell", "wrap", "double", "deep"]))
        if kind == "value":
            holder[key] = draw(VALUES)
        elif kind == "delete":
            del holder[key]
        elif kind == "misspell" and isinstance(key, str):
            holder[draw(misspelt(key))] = holder.pop(key)
        elif kind == "wrap":
            holder[key] = draw(st.sampled_from([[holder[key]], {"a": holder[key]}, [[], holder[key]]]))
        elif kind == "double" and isinstance(holder, list):
            holder.extend(holder[:20] * draw(st.sampled_from([1, 20, 200])))
        else:
            holder[key] = draw(st.sampled_from(["raw:deep", "raw:deeper", "raw:deepest", "raw:digits", "raw:half"]))
    return document


@st.composite
def mutated_bytes(draw, data: bytes) -> bytes:
    """Bytes cut short, with flipped bits, a piece twice, a piece of something else in them, or in another encoding."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["cut", "flip", "insert", "repeat", "drop", "encode"]))
        if kind == "cut":
            data = data[:place]
        elif kind == "flip" and data:
            place = min(place, len(data) - 1)
            data = data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
        elif kind == "insert":
            data = data[:place] + draw(CHUNKS) + data[place:]
        elif kind == "repeat":
            piece = data[place : place + draw(st.integers(1, 200))]
            data = data[:place] + piece * draw(st.sampled_from([2, 50, 2000])) + data[place:]
        elif kind == "drop":
            data = data[:place] + data[place + draw(st.integers(1, 50)) :]
        elif kind == "encode" and len(data) < 100_000:
            encoding = draw(st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"]))
            data = data.decode("utf-8", "replace").encode(encoding, "replace")
    return data


def json_bytes(value) -> bytes:
    """A document as JSON, what is raw in it as RAW has it."""
    return _raw(json.dumps(value, default=str))


def json_lines_bytes(records) -> bytes:
    """Records as JSON lines; what is no list as it is."""
    return b"".join(json_bytes(r) + b"\n" for r in records) if isinstance(records, list) else json_bytes(records)


def toml_bytes(document) -> bytes:
    """A document as TOML: its sections as inline tables."""
    items = document.items() if isinstance(document, dict) else [("value", document)]
    return _raw("".join(f"{_text(key)} = {_toml(value)}\n" for key, value in items))


def _toml(value) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)} = {_toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value)


def _text(text) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _raw(text: str) -> bytes:
    for name, raw in RAW.items():
        text = text.replace(f'"raw:{name}"', raw)
    return text.encode("utf-8", "surrogatepass")


def files(valid: bytes, document=None, write=json_bytes, arbitrary=None):
    """Bytes of a file: now and then valid, mostly a valid one with something wrong, sometimes anything.

    document: the same as values, where the file has some; write: makes bytes of them.
    """
    kinds = [mutated_bytes(valid), mutated_bytes(valid), st.just(valid), st.binary(max_size=200)]
    if document is not None:
        kinds += [mutated_documents(document).map(write)] * 5 + [VALUES.map(write)]
    if arbitrary is not None:
        kinds += [arbitrary] * 3
    return st.one_of(kinds)
