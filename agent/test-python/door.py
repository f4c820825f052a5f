"""The gateway's end of what a driver sends and asks for by plain HTTP, for tests of the driver."""

import base64
import http.server
import json
import queue
import threading


class Door:
    """Takes streams, and answers for handles of other contexts.

    streams  what has come, as (id, headers, body, whether it came whole)
    elsewhere  bodies by path, or a status and a problem
    """

    def __init__(self):
        self.streams = queue.Queue()
        self.elsewhere = {}
        self.hang_up_after = None
        door = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body, whole = self._chunks()
                door.streams.put((self.path.rsplit("/", 1)[1], dict(self.headers), body, whole))
                if whole:
                    self.send_response(204)
                    self.end_headers()
                else:
                    self.close_connection = True

            def do_GET(self):
                found = door.elsewhere.get(self.path, (404, {"detail": "there is no such handle"}))
                status, body = (200, found) if isinstance(found, bytes) else (found[0], json.dumps(found[1]).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _chunks(self):
                """The body, and whether its end has come."""
                body = bytearray()
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0))), True
                try:
                    while True:
                        line = self.rfile.readline()
                        if not line:
                            return bytes(body), False
                        size = int(line, 16)
                        body += self.rfile.read(size)
                        self.rfile.readline()
                        if not size:
                            return bytes(body), True
                        if door.hang_up_after is not None and len(body) > door.hang_up_after:
                            return bytes(body), False
                except ConnectionError:
                    return bytes(body), False

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def refusal(headers):
    """What a stream's header says why there is none."""
    return json.loads(base64.b64decode(headers["X-Hearth-Error"]))
