"""The documents: what the simulator's generator says, one a line, in a file."""

import json
import time
import urllib.request

from .processes import Failed, Watched

SEED = "bench"
# The most that the simulator, like the real API, gives at once.
PAGE = 5_000

BEGIN, BETWEEN, END = b'{"results":[', b'},{"gender":', b"]}"


def write_documents(aqueduct, num_records, path, root):
    """Writes `num_records` documents. The same ones each time, but for the ages, which follow the calendar."""
    simulator = Watched([aqueduct, "simulate", "--listen", "127.0.0.1:0"], f"{root}/simulate.log")
    try:
        url = _address(simulator)
        num_written = 0
        with open(path, "wb") as file:
            while num_written < num_records:
                page = num_written // PAGE + 1
                with urllib.request.urlopen(f"{url}?results={PAGE}&seed={SEED}&page={page}&noinfo") as answer:
                    documents = split(answer.read())[: num_records - num_written]
                file.write(b"\n".join(documents) + b"\n")
                num_written += len(documents)
    finally:
        simulator.end()


def _address(simulator):
    for _ in range(300):
        line = simulator.tail(1)
        if line.endswith("\n") and "http://" in line:
            return line[line.index("http://") :].strip()
        if not simulator.look():
            break
        time.sleep(0.1)
    raise Failed(f"the simulator did not start:\n{simulator.tail()}")


def split(page):
    """Cuts a page at its records, whose bytes stay as they are; the first and the last are parsed as a proof."""
    if not (page.startswith(BEGIN) and page.endswith(END)):
        raise Failed("the simulator's page does not look as it used to; see bench/driver/documents.py")
    pieces = page[len(BEGIN) : -len(END)].split(BETWEEN)
    last = len(pieces) - 1
    documents = [
        (b"" if at == 0 else BETWEEN[2:]) + piece + (b"" if at == last else b"}") for at, piece in enumerate(pieces)
    ]
    for document in (documents[0], documents[-1]):
        json.loads(document)["login"]["uuid"]
    return documents


def pages(path, page_size):
    """The bodies of an API that serves the documents by the page."""
    with open(path, "rb") as file:
        documents = file.read().splitlines()
    return [
        BEGIN + b",".join(documents[start : start + page_size]) + END for start in range(0, len(documents), page_size)
    ]
