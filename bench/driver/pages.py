"""The API of the ingest measurement: pages that lie ready in memory, served by a process of its own.

    python3 -m driver.pages DOCUMENTS PAGE_SIZE

Prints its port once it serves. `GET /?page=N` is the N-th page, from 1; beyond the last one pages are empty.
"""

import http.server
import sys
import urllib.parse

from .documents import BEGIN, END, pages


class Handler(http.server.BaseHTTPRequestHandler):
    """Connections stay open, and a page is one write: the server must not be the bottleneck."""

    protocol_version = "HTTP/1.1"
    bodies = []

    def do_GET(self):
        """Answers a page."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        index = int(query["page"][0]) - 1
        body = self.bodies[index] if index < len(self.bodies) else BEGIN + END
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """No line a request."""


def main():
    """Serves until it is ended."""
    Handler.bodies = pages(sys.argv[1], int(sys.argv[2]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
