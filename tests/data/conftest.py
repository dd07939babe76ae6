"""A dataset that can be downloaded, and a server on this machine that behaves as badly as it is told to."""

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embench.data import fetch
from embench.interfaces.dataset import Card, Download, ModalityCard
from embench.interfaces.units import LabelRule, Target

CARD = Card(
    name="open",
    title="An open dataset",
    citation="Somebody et al.",
    doi="",
    licence="CC BY 4.0",
    obtain="ask somebody",
    modalities={"eda": ModalityCard(("eda",), 4.0, "uS")},
    default_modalities=("eda",),
    targets=(Target("stress", "binary", LabelRule(cut=5.0), "stress", scale=(1.0, 9.0)),),
    mains_hz=50.0,
    longest_s=100.0,
    labels_public="yes",
    fixed_order=False,
)


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


class Server:
    """What is served, how, and what was asked for. `faults` are used up one an answer: `cut` (half of what is due,
    then the connection ends), `no_range` (the whole file whatever is asked), a status code, `long` and `short` (a
    Content-Length that is not true), `shifted` (another stretch than asked for). `etags` are sent with redirects."""

    def __init__(self):
        self.files, self.faults, self.requests, self.always = {}, [], [], None
        self.etags = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.respond(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def respond(self, request):
        requested = request.headers.get("Range")
        self.requests.append((request.path[1:], requested))
        fault = self.always or (self.faults.pop(0) if self.faults else None)
        if isinstance(fault, int):
            request.send_response(fault)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if request.path.startswith("/moved/"):
            request.send_response(302)
            request.send_header("Location", request.path.removeprefix("/moved"))
            if etag := self.etags.get(request.path[1:]):
                request.send_header("ETag", etag)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        whole = self.files[request.path[1:]]
        begin = int(requested[len("bytes=") : -1]) if requested and fault != "no_range" else 0
        if fault == "shifted" and begin:
            begin += 1
        if begin >= len(whole):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(whole)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        due = whole[begin:]
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        length = len(due) + {"long": 1000, "short": -len(due) // 2}.get(fault, 0)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(due[: len(due) // 2] if fault == "cut" else due)
        request.close_connection = fault in ("cut", "long", "short")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "WAIT_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Server()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def card(server):
    """Of a dataset of one archive with two files; the server has it."""
    content = zipped({"open/a.csv": "1,2\n" * 20_000, "open/deep/b.csv": "3\n"})
    return publish(server, "open.zip", content)


def publish(server, name, content, **changes):
    server.files[name] = content
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), **changes}
    return replace(CARD, downloads=(Download(server.url(name), name, **facts),))
