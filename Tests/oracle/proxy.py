"""Stands between the tools and an object store: counts what is asked, and fails as it is told to.

    with Proxy(upstream) as proxy:
        proxy.fault(lambda request: request.kind == "PUT part", "503", times=2)
        …                                 # the tools, with AWS_ENDPOINT_URL=proxy.url
        proxy.requests                    # what they asked, in order

Faults: a status such as "503"; "reset" before the server is asked; "lost", its reply, after; "error",
a success that holds an error; "cut", half of the body; "stall", for longer than a client waits.
"""

import http.client
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MESSAGES = {"500": "InternalError", "503": "SlowDown", "429": "TooManyRequests"}


class Request:
    """What was asked: the verb, the key below the bucket, the query, and how much came and went."""

    def __init__(self, method, target, headers, sent):
        parts = urllib.parse.urlsplit(target)
        self.method, self.path = method, urllib.parse.unquote(parts.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.headers, self.sent, self.received, self.status = headers, sent, 0, None

    @property
    def kind(self):
        """A name for it, as in Amazon's list of operations, but short."""
        query = self.query
        if "uploads" in query:
            return "create" if self.method == "POST" else "uploads"
        if "uploadId" in query:
            return {"PUT": "part", "POST": "complete", "DELETE": "abort"}[self.method]
        if "list-type" in query:
            return "list"
        if "delete" in query:
            return "delete"
        if self.method == "PUT" and self.headers.get("if-none-match"):
            return "put new"
        return self.method.lower()

    def __repr__(self):
        return f"{self.kind} {self.path} {self.query or ''} {self.status}"


class Proxy:
    def __init__(self, upstream, delay=0):
        self.upstream = urllib.parse.urlsplit(upstream)
        self.delay, self.requests, self.faults = delay, [], []
        self.forgets = False  # that a name is taken, as servers do that know no condition
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"proxy": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def fault(self, applies, kind, times=1):
        self.faults.append([applies, kind, times])

    def next_fault(self, request):
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault[2] and fault[0](request):
                    fault[2] -= 1
                    return fault[1]
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body, cut=False):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = dict((name.lower(), value) for name, value in headers).get("content-length")
        if self.command == "HEAD":
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if cut else body)
        if cut:
            self.reset()

    def reset(self):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError, OSError):
            self.close_connection = True

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, len(body))
        fault = self.proxy.next_fault(request)
        time.sleep(self.proxy.delay)
        if fault == "reset":
            return self.reset()
        if fault == "stall":
            time.sleep(60)
            return self.reset()
        if fault and fault.isdigit():
            request.status = int(fault)
            text = f"<Error><Code>{MESSAGES[fault]}</Code><Message>Injected.</Message></Error>"
            return self.answer(int(fault), [], text.encode())
        if fault == "error":
            request.status = 200
            return self.answer(
                200, [], b"<Error><Code>InternalError</Code><Message>Injected.</Message></Error>")
        if self.proxy.forgets and request.kind == "put new":
            request.status = 200
            return self.answer(200, [("ETag", '"0"')], b"")
        upstream = http.client.HTTPConnection(self.proxy.upstream.netloc, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            reply = upstream.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException):
            return self.reset()
        finally:
            upstream.close()
        request.status, request.received = reply.status, len(data)
        if fault == "lost":
            return self.reset()
        return self.answer(reply.status, reply.getheaders(), data, cut=fault == "cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on
