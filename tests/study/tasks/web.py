"""A small web server that can break off, as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What a server on this machine serves, and how."""

    content: bytes = b""
    stop_after: int | None = None  # bytes of an answer, then the connection breaks off
    ranges: bool = True  # whether it can start in the middle
    says_length: bool = True
    status: int | None = None  # answer with this error
    url: str = ""
    asked: list[str] = field(default_factory=list)  # the range of each request


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    """Serve it, under any path below `web.url`, while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, web)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield web
        server.shutdown()
        thread.join()


def answer(request: BaseHTTPRequestHandler, web: Web) -> None:
    """Answer as the server is set."""
    asked = request.headers.get("Range", "")
    web.asked.append(asked)
    start = int(asked.removeprefix("bytes=").removesuffix("-") or 0) if web.ranges else 0
    if web.status is not None:
        return request.send_error(web.status)
    if start and start >= len(web.content):
        return request.send_error(416)
    body = web.content[start:]
    request.send_response(206 if web.ranges and asked else 200)
    if web.says_length:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: web.stop_after])
    return None
