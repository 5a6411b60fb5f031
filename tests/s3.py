"""An S3-compatible server on loopback (moto's) that can be told to answer badly.

Each `Fault` stands between the server and the socket: 403, 500, 503 SlowDown, and connections
that are cut before anything is done, in the middle of the answer (half), or before it (lost).
"""

import os
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "corpora"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "2", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@dataclass
class Fault:
    """Which requests go wrong: those whose ``METHOD /path?query`` matches, `times` of them after
    the first `after`; and how.
    """

    how: str
    request: str
    times: float = float("inf")
    after: int = 0
    met: int = 0

    def strikes(self, request):
        if not re.search(self.request, request):
            return False
        self.met += 1
        return self.after < self.met <= self.after + self.times


@dataclass
class Store:
    """The server's address, a client that no fault meets, and the faults."""

    url: str
    client: object
    faults: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def objects(self, prefix=""):
        found = {}
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=BUCKET, Prefix=prefix):
            for one in page.get("Contents", ()):
                body = self.client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"]
                found[one["Key"].removeprefix(prefix)] = body.read()
        return found

    def clear(self):
        self.faults.clear()
        self.requests.clear()
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        if names := [{"Key": one["Key"]} for one in found]:
            self.client.delete_objects(Bucket=BUCKET, Delete={"Objects": names})


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


ERROR = "<Error><Code>{}</Code><Message>{}</Message></Error>"
ANSWERS = {
    "403": ("403 Forbidden", ERROR.format("AccessDenied", "Access Denied")),
    "500": ("500 Internal Server Error", ERROR.format("InternalError", "We failed.")),
    "503": ("503 Slow Down", ERROR.format("SlowDown", "Please reduce your request rate.")),
}


def _failing(app, store):
    def serve(environ, start_response):
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        if environ.get("HTTP_X_TEST") == "yes":
            return app(environ, start_response)
        store.requests.append(asked)
        how = next((one.how for one in store.faults if one.strikes(asked)), None)
        if how in ANSWERS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, body = ANSWERS[how]
            start_response(status, [("Content-Length", str(len(body)))])
            return [body.encode()]
        if how == "lost":
            b"".join(app(environ, lambda *_: None))
        if how in ("cut", "lost"):
            _hang_up(environ)
        answer = app(environ, start_response)
        return _half(environ, answer) if how == "half" else answer

    return serve


def _half(environ, answer):
    body = b"".join(answer)
    yield body[: len(body) // 2]
    _hang_up(environ)


def _hang_up(environ):
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


@contextmanager
def served():
    """A `Store` while the block runs; the environment leads every client of boto3 to it."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    store = Store("", None)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", 0, _failing(app, store), threaded=True, request_handler=_Quiet
    )
    store.url = os.environ["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{server.port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store.client = boto3.client("s3")
    mark = "before-sign.s3"
    store.client.meta.events.register(
        mark, lambda request, **_: request.headers.add_header("X-Test", "yes")
    )
    store.client.create_bucket(Bucket=BUCKET)
    try:
        yield store
    finally:
        server.shutdown()
        os.environ.clear()
        os.environ.update(before)
