"""Runs of the real daemon: one that only fills the topic, and those that load it."""

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request

from .processes import Failed, Watched, own_cpu

PIPELINE = TABLE = "users"
LIMIT = 900  # seconds


class Daemon:
    """Knows how to run the binary; each run has a configuration of its own."""

    def __init__(self, aqueduct, bench, root, kafka, postgres, num_records, page_size):
        self.aqueduct, self.bench, self.root = aqueduct, bench, root
        self.kafka, self.postgres = kafka, postgres
        self.num_records, self.page_size = num_records, page_size
        # Ready before there is a server at it.
        self.page_port = None
        with open(f"{bench}/users.toml") as file:
            self.template = file.read()

    def _start(self, name, postgres, mode, door, *options):
        text = self.template
        for key, value in {
            "@STATE@": f"{self.root}/state",
            "@DOOR@": door,
            "@BROKERS@": self.kafka.brokers,
            "@POSTGRES@": postgres,
            "@MIGRATE@": "false" if door else "true",
            "@PAGES@": f"http://127.0.0.1:{self.page_port}/",
            "@RECORDS@": str(self.num_records),
            "@MODE@": mode,
            "@KEY@": 'key = ["uuid"]' if mode == "upsert" else "",
        }.items():
            text = text.replace(key, value)
        config = f"{self.root}/{name}.toml"
        with open(config, "w") as file:
            file.write(text)
        command = [self.aqueduct, "run", "-c", config, *options]
        return Watched(command, f"{self.root}/{name}.log", env=dict(os.environ))

    def ingest(self, documents):
        """HTTP -> topic. The load branch waits for a PostgreSQL that is not there, so that it costs nothing.

        Seconds are from the first page fetched to the last transaction committed, as /status shows them.
        """
        server = Watched(
            [sys.executable, "-m", "driver.pages", documents, str(self.page_size)], f"{self.root}/pages.log",
            env={**os.environ, "PYTHONPATH": self.bench},
        )
        daemon = None
        try:
            self.page_port = _first_line(server)
            door = f"127.0.0.1:{_free_port()}"
            nowhere = "postgres://nobody@/nowhere?host=/nonexistent"
            daemon = self._start("ingest", nowhere, "upsert", door)
            begin = done = None
            while done is None:
                if not daemon.look() or time.monotonic() - daemon.started > LIMIT:
                    raise Failed(f"the daemon did not fill the topic:\n{daemon.tail()}")
                now, live = time.monotonic(), _live(door)
                if live and live["fetched_pages"] > 0 and begin is None:
                    begin, fetched_by_then, cpu_by_then = now, live["fetched_records"], own_cpu(daemon.pid)
                if live and live["produced_records"] >= self.num_records:
                    done = now
                time.sleep(0.02)
            return {
                "records": self.num_records - fetched_by_then,
                "seconds": done - begin,
                "client_cpu": own_cpu(daemon.pid) - cpu_by_then,
                "peak_kib": daemon.peak_kib,
            }
        finally:
            if daemon:
                daemon.end()
            server.end()

    def load(self, name, mode):
        """Topic -> table, from its beginning. Seconds are from the first claim to the last commit of rows."""
        self.postgres.sql("DROP SCHEMA IF EXISTS aqueduct CASCADE")
        daemon = self._start(name, self.postgres.url, mode, "", "--once")
        code, wall, cpu = daemon.wait(LIMIT)
        if code != 0:
            raise Failed(f"the daemon ended with {code} ({name}):\n{daemon.tail()}")
        row = self.postgres.sql(
            "SELECT json_build_object("
            "'seconds', (SELECT extract(epoch FROM (SELECT max(pg_xact_commit_timestamp(xmin)) FROM aqueduct.row_counts)"
            " - min(claimed_at)) FROM aqueduct.offsets),"
            "'dead', (SELECT sum(dead) FROM aqueduct.offsets),"
            "'inserted', sum(inserted), 'updated', sum(updated), 'unchanged', sum(unchanged)) FROM aqueduct.row_counts"
        )
        found = json.loads(row)
        return {**found, "wall": wall, "client_cpu": cpu, "peak_kib": daemon.peak_kib, "records": self.num_records}


def _first_line(server):
    for _ in range(600):
        line = server.tail(1)
        if line.strip().isdigit():
            return int(line)
        if not server.look():
            break
        time.sleep(0.1)
    raise Failed(f"the page server did not start:\n{server.tail()}")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _live(door):
    try:
        with urllib.request.urlopen(f"http://{door}/status", timeout=10) as answer:
            return json.load(answer)["pipelines"][0]["live"]
    except (urllib.error.URLError, OSError):
        return None
