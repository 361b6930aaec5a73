"""Fifty streams at a time from a server in a process of its own: all are whole, nobody waits, memory stays."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest
from served import HELLO, TOKENIZER, endless_model, save_run

from hamner.config.presets import PRESETS
from hamner.data.tokenizer import Tokenizer

STREAMS, TOKENS = 50, 80
DATA = os.environ.get("HAMNER_DATA", "")
SIZES = {
    "4 million": {"hidden_size": 256, "num_layers": 6, "num_heads": 8, "intermediate_size": 683},
    "v3": PRESETS["v3"].model_dump(
        include={"hidden_size", "num_layers", "num_heads", "num_kv_heads", "intermediate_size"}
    ),
}


@pytest.fixture(scope="module", params=SIZES)
def server(request, tmp_path_factory):
    """(process, address, model config) of `hamner serve` with a model of that size; v3 with its real vocabulary."""
    if request.param == "v3" and not DATA:
        pytest.skip("HAMNER_DATA is not set: no real tokenizer to read")
    results = tmp_path_factory.mktemp("results")
    tokenizer = Tokenizer.load(Path(DATA) / "tokenizer") if request.param == "v3" else TOKENIZER
    assert tokenizer.vocab_size == (PRESETS["v3"] if request.param == "v3" else TOKENIZER).vocab_size
    loaded = endless_model(tokenizer, **SIZES[request.param])
    save_run(results, "mine", loaded)
    process = subprocess.Popen(
        [sys.executable, "-m", "hamner", "serve", "mine", "--port", "0", "--results", str(results)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, re.match(r"(\S+)/  ", process.stdout.readline())[1], loaded.model.config
    process.terminate()
    process.communicate(timeout=30)


def _peak(process) -> int:
    """The most memory that a process has held since it was last reset, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def _reset_peak(process) -> None:
    """Reset the peak-memory counter, so that what came before does not hide what streams take."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


async def _read(client, number):
    """(time of the first token, time of the end, finish reason, usage, text) of one stream."""
    first, text, last, usage = 0.0, "", None, None
    messages = [{"role": "user", "content": "the owl " * (number % 9 + 1)}, *HELLO]
    stream = await client.chat.completions.create(
        model="mine",
        messages=messages,
        max_tokens=TOKENS,
        stream=True,
        seed=number,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        if not chunk.choices:
            usage = chunk.usage
        elif chunk.choices[0].delta.content:
            first = first or time.monotonic()
            text += chunk.choices[0].delta.content
        elif chunk.choices[0].finish_reason:
            last = chunk.choices[0].finish_reason
    return first, time.monotonic(), last, usage, text


async def _read_all(address, numbers):
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600) as client:
        return await asyncio.gather(*(_read(client, number) for number in numbers))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be reset on Linux alone")
def test_fifty_streams_are_whole_and_share_the_model(server, record_property):
    process, address, model = server
    _reset_peak(process)
    ((_, _, _, usage, alone),) = asyncio.run(_read_all(address, [8]))  # the longest prompt
    one = _peak(process)
    _reset_peak(process)
    results = asyncio.run(_read_all(address, range(STREAMS)))
    fifty = _peak(process)
    assert all(last == "length" and usage.completion_tokens == TOKENS for _, _, last, usage, _ in results)
    assert results[8][4] == alone  # as without the others
    assert max(first for first, *_ in results) < min(end for _, end, *_ in results)
    positions = usage.prompt_tokens + TOKENS
    cache = positions * model.num_layers * 2 * model.num_kv_heads * model.head_size * 4  # keys and values in fp32
    print(
        f"one stream {one / 2**20:.0f} MiB, {STREAMS} streams {fifty / 2**20:.0f} MiB, a cache {cache / 2**20:.2f} MiB"
    )
    assert fifty <= 1.1 * (one + (STREAMS - 1) * cache)
