"""A hub on this machine: one dataset of one parquet file, served by HTTP as the real one is, with faults on demand."""

import io
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow
import pyarrow.parquet

DATASET, COMMIT = "roneneldan/TinyStories", "a" * 40
ROW = 2**20  # characters of a row of `large_rows`: some five of them are fetched at a time


def large_rows(count):
    return [f"{n:08}" * (ROW // 8) for n in range(count)]


def parquet(texts):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts}), buffer, row_group_size=1, compression="none", use_dictionary=False
    )
    return buffer.getvalue()


class Site:
    """fault(kind, n) of the n-th request of a kind (info, listing, data, tokenizer; from 1), if anything: "hang", a
    status with an error code, seconds to wait, or "torn" data."""

    def __init__(self, fault, data):
        self.fault, self.data, self.requests, self.over = fault, data, {}, threading.Event()

    def count(self, kind):
        self.requests[kind] = self.requests.get(kind, 0) + 1
        return self.fault(kind, self.requests[kind])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _send(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value, status=200, **headers):
        self._send(status, json.dumps(value).encode(), **headers)

    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        site, api = self.server.site, f"/api/datasets/{DATASET}"
        kind = (
            "listing"
            if self.path.startswith((f"{api}/tree", f"{api}/paths-info"))
            else "info"
            if self.path.startswith(api)
            else "data"
            if self.path.endswith("train.parquet")
            else "tokenizer"
            if "tokenizer.json" in self.path
            else None
        )
        if kind is None:
            return self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        fault = site.count(kind)
        if fault == "hang":
            site.over.wait(60)
            self.close_connection = True
            return None
        if isinstance(fault, tuple):
            return self._json({"error": fault[1]}, fault[0], X_Error_Code=fault[1])
        if isinstance(fault, float):
            time.sleep(fault)
        file = {"type": "file", "path": "train.parquet", "size": len(site.data), "oid": "b" * 40}
        if kind == "listing":
            return self._json([file])
        if kind == "info":
            return self._json(
                {
                    "id": DATASET,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": "train.parquet"}],
                    "tags": [],
                    "private": False,
                    "gated": False,
                    "disabled": False,
                    "downloads": 0,
                    "likes": 0,
                }
            )
        first, last = (self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")
        first, last = int(first), min(int(last or len(site.data)), len(site.data) - 1)
        part = site.data[first : last + 1]
        return self._send(
            206, bytes(len(part)) if fault == "torn" else part, Content_Range=f"bytes {first}-{last}/{len(site.data)}"
        )

    do_GET = do_HEAD = do_POST = _answer


@contextmanager
def hub_site(fault=lambda kind, n: None, data=b""):
    """Yields the site and its address, which HF_ENDPOINT takes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.site = True, Site(fault, data)
    server.handle_error = lambda *_: None  # the client was ended meanwhile
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.site, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.site.over.set()
        server.shutdown()
        server.server_close()
