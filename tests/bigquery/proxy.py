"""What may stand between a client and BigQuery: a proxy that answers some requests itself."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, object]]


def failure(code: int, reason: str, message: str) -> Answer:
    """An error as BigQuery's REST API gives it."""
    entry = {"reason": reason, "message": message, "domain": "global"}
    return code, {"error": {"code": code, "message": message, "errors": [entry]}}


@dataclass
class Proxy:
    """A proxy to an emulator.

    Attributes:
        endpoint: the URL to give to a client.
        answer: what to say to each query that is sent, instead of passing it on; None passes it on.
        hangs: whether jobs never end: what asks after them is told that they run.
        seen: the method and path of every request.
        hears: is told of each query, as JSON, before it is passed on.
        until: while it is an event that has not come, no request that is new is passed on.
    """

    endpoint: str
    answer: Answer | None = None
    hangs: bool = False
    seen: list[str] = field(default_factory=list)
    hears: Callable[[str], None] = lambda query: None
    until: threading.Event | None = None

    @staticmethod
    def is_a_query(method: str, path: str) -> bool:
        """Whether a request begins a job."""
        return method == "POST" and path.split("?")[0].endswith(("/jobs", "/queries"))

    def interfere(self, method: str, path: str, body: bytes) -> Answer | None:
        """The answer to a request that is not passed on."""
        self.seen.append(f"{method} {path.split('?')[0]}")
        asks_a_query = self.is_a_query(method, path)
        if self.answer is not None and asks_a_query:
            return self.answer
        if self.hangs and asks_a_query:
            return 200, json.loads(body) | {"status": {"state": "RUNNING"}}
        if self.hangs and "/queries/" in path:
            # As the service does: it holds the question for a moment, then says that it runs.
            time.sleep(0.2)
            job = path.split("/queries/")[1].split("?")[0]
            reference = {"projectId": "test-proj", "jobId": job, "location": "US"}
            return 200, {"jobComplete": False, "jobReference": reference}
        if self.hangs and "/jobs/" in path:
            job = path.split("/jobs/")[1].split("?")[0].removesuffix("/cancel")
            reference = {"projectId": "test-proj", "jobId": job, "location": "US"}
            found: dict[str, object] = {"jobReference": reference, "status": {"state": "RUNNING"}}
            return 200, {"job": found} if path.split("?")[0].endswith("/cancel") else found
        return None


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy to the REST API at `upstream`, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = proxy.interfere(self.command, self.path, body)
            if found is not None:
                self._reply(found[0], json.dumps(found[1]).encode(), "application/json")
                return
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in {"host", "connection", "accept-encoding"}
            }
            if proxy.until is not None:
                proxy.until.wait()
            if proxy.is_a_query(self.command, self.path):
                proxy.hears(body.decode())
            request = urllib.request.Request(
                upstream + self.path, data=body or None, headers=headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    kind, place = reply.headers.get_content_type(), reply.headers["Location"]
                    self._reply(reply.status, reply.read(), kind, place)
            except urllib.error.HTTPError as error:
                self._reply(error.code, error.read(), error.headers.get_content_type())
            except OSError:
                self.close_connection = True

        def _reply(self, status: int, body: bytes, kind: str, location: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if location is not None:
                # Where a load job's file is to be sent; nothing listens there.
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
