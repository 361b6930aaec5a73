"""A video site on 127.0.0.1 for yt-dlp: a server, an extractor as a yt-dlp plugin, and captions that roll.

/@NAME.json is a list of ids, or of {"tab": NAME}; /video/ID.json says what the extractor reports; /captions/ID.vtt.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLUGIN = r"""
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError


class TestChannelIE(InfoExtractor):
    _VALID_URL = r"(?P<base>http://127\.0\.0\.1:\d+)/@(?P<id>\w+)"

    def _real_extract(self, url):
        base, name = self._match_valid_url(url).group("base", "id")
        entries = self._download_json(f"{base}/@{name}.json", name)
        return self.playlist_result([
            self.url_result(f"{base}/@{entry['tab']}", "TestChannel") if isinstance(entry, dict)
            else self.url_result(f"{base}/watch/{entry}", "TestVideo", entry) for entry in entries], name, name)


class TestVideoIE(InfoExtractor):
    _VALID_URL = r"(?P<base>http://127\.0\.0\.1:\d+)/watch/(?P<id>[\w-]+)"

    def _real_extract(self, url):
        base, video = self._match_valid_url(url).group("base", "id")
        info = self._download_json(f"{base}/video/{video}.json", video)
        if "private" in info:    # as the extractor of YouTube does
            self.raise_no_formats(info["private"], expected=True, video_id=video)
        if "gone" in info:
            raise ExtractorError(info["gone"], expected=True)
        return {"id": video, "title": info.get("title", video), "formats": [], "automatic_captions": {
            key: [{"ext": "json3", "url": f"{base}/x.json3"}, {"ext": ext, "url": f"{base}/captions/{video}.vtt"}]
            for key, ext in info.get("captions", {"en": "vtt", "en-orig": "vtt"}).items()}}
"""


def write_plugin(folder):
    """A folder to put on PYTHONPATH."""
    path = folder / "yt_dlp_plugins" / "extractor" / "test_site.py"
    path.parent.mkdir(parents=True)
    path.write_text(PLUGIN, encoding="utf-8")
    return folder


class Site:
    """`files` are served by path; `cut` ones break off halfway, `status` ones fail, `delay` seconds lie halfway."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.status: dict[str, int] = {}
        self.delay = 0.0
        self.requests: Counter[str] = Counter()
        self.times: list[float] = []

    def add(self, video, text, **info):
        self.files[f"/video/{video}.json"] = json.dumps(info).encode()
        self.files[f"/captions/{video}.vtt"] = text.encode()

    def channel(self, name, entries):
        self.files[f"/@{name}.json"] = json.dumps(entries).encode()
        return f"{self.address}/@{name}"

    def caption_requests(self):
        return {path: n for path, n in self.requests.items() if path.startswith("/captions/")}

    def __enter__(self):
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests[self.path] += 1
                site.times.append(time.monotonic())
                body = site.files.get(self.path)
                status = site.status.get(self.path, 404 if body is None else 200)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if body and status == 200:
                    half = len(body) // 2
                    self.wfile.write(body[:half])
                    self.wfile.flush()
                    time.sleep(site.delay)
                    if self.path not in site.cut:
                        self.wfile.write(body[half:])

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a killed reader

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def stamp(seconds):
    milliseconds = round(seconds * 1000)
    return (
        f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds // 1000 % 60:02}"
        f".{milliseconds % 1000:03}"
    )


def rolling(lines, language="en"):
    """WebVTT as YouTube writes it for automatic captions; lines: (start, end, text), seconds.

    A spoken line has a time before each word but the first, and is shown again above the next one; between two lines
    a cue of 10 ms moves it up. After a gap in time the screen is empty.
    """
    out, above, until = [f"WEBVTT\nKind: captions\nLanguage: {language}\n\n"], " ", 0.0
    for start, end, text in lines:
        words = text.split()
        step = (end - start) / len(words)
        tagged = words[0] + "".join(f"<{stamp(start + i * step)}><c> {w}</c>" for i, w in enumerate(words) if i)
        if start - until > 0.05:
            above = " "
        out.append(f"{stamp(start)} --> {stamp(end - 0.01)} align:start position:0%\n{above}\n{tagged}\n\n")
        out.append(f"{stamp(end - 0.01)} --> {stamp(end)} align:start position:0%\n{text}\n \n\n")
        above, until = text, end
    return "".join(out)


def talk(number, lines=40, words=8):
    """Made-up speech in which each word occurs once, and its captions; a breath after every fourth line."""
    said, timed, at = [], [], 0.5
    for line in range(lines):
        spoken = [f"v{number}w{line * words + i}" for i in range(words)]
        timed.append((at, at + 3.0, " ".join(spoken)))
        said += spoken
        at += 3.0 if line % 4 != 3 else 4.5
    return said, rolling(timed)
