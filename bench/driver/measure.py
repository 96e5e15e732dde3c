"""The plan: what is measured, in which order, and what must be true afterwards."""

import json
import statistics

from .daemon import TABLE
from .processes import Failed, run

WARM_UPS = 4

# The name of a load, the daemon's mode, how the table is left before it, and what all rows become.
LOADS = [
    ("append", "append", "empty", "inserted"),
    ("upsert new", "upsert", "empty", "inserted"),
    ("upsert changed", "upsert", "changed", "updated"),
    ("upsert equal", "upsert", "equal", "unchanged"),
]


class Bench:
    """Takes the measurements, one after the other; `results` is a list of rounds by name."""

    def __init__(self, daemon, limits, postgres, kafka, producer, documents, num_records, say):
        self.daemon, self.limits, self.postgres, self.kafka = daemon, limits, postgres, kafka
        self.producer, self.documents, self.num_records, self.say = producer, documents, num_records, say
        self.results = {}

    def _take(self, name, action):
        postgres, broker = self.postgres.cpu(), self.kafka.cpu()
        found = action()
        million = found["records"] / 1e6
        measured = {
            "rows_per_s": found["records"] / float(found["seconds"]),
            "seconds": float(found["seconds"]),
            "cpu_s_per_million": {
                "client": found["client_cpu"] / million,
                "postgresql": (self.postgres.cpu() - postgres) / (self.num_records / 1e6),
                "broker": (self.kafka.cpu() - broker) / (self.num_records / 1e6),
            },
            "peak_rss_mib": found["peak_kib"] / 1024,
        }
        self.say(f"{name}: {measured['rows_per_s']:,.0f}/s")
        self.results.setdefault(name, []).append(measured)
        return found

    def producers(self):
        """Both ways into Kafka. Once only: the second one leaves the topic that is loaded."""
        self._take("bare producer", self._bare)
        self._take("HTTP -> Kafka", lambda: self.daemon.ingest(self.documents))

    def _bare(self):
        out = run([self.producer, self.kafka.brokers, "bare", "4", self.documents])
        found = json.loads(out)
        return {**found, "client_cpu": found["cpu_seconds"], "peak_kib": 0}

    def warm_up(self):
        """Loads that do not count. The first one writes WAL and table into new files, the others into files that are there. And
        the broker runs on what its compiler has not seen to yet: it takes 3.3 CPU-seconds per million records in the first
        load, 1.2 from the fifth on."""
        for number in range(WARM_UPS):
            self._leave("empty")
            self.daemon.load("warm-up", "append")
            self.say(f"warm-up {number + 1} of {WARM_UPS}")

    def loads(self, first):
        """One round of loads, each with its limit right after it."""
        for name, mode, before, fate in LOADS:
            self._leave(before)
            self._check(name, fate, self._take(name, lambda: self.daemon.load(name.replace(" ", "-"), mode)))
            if first and name == "append":
                self.limits.write_binary()
            self._leave(before)
            limit = self.limits.append if mode == "append" else self.limits.upsert
            self._take(f"{name}: limit", limit)

    def _leave(self, state):
        if state == "empty":
            self.limits.empty()
        else:
            self.limits.fill(changed=state == "changed")

    def _check(self, name, fate, found):
        num_rows = int(self.postgres.sql(f"SELECT count(*) FROM {TABLE}"))
        wrong = num_rows != self.num_records or found[fate] != self.num_records or found["dead"] != 0
        if wrong or self.postgres.sql(f"SELECT count(*) FROM {TABLE} WHERE username LIKE '%~'") != "0":
            raise Failed(f"{name}: the table is not what it should be: {num_rows} rows; {found}")

    def medians(self):
        """The round whose speed is in the middle, of each measurement."""

        def middle(rounds):
            speed = statistics.median_low([one["rows_per_s"] for one in rounds])
            return next(one for one in rounds if one["rows_per_s"] == speed)

        return {name: middle(rounds) for name, rounds in self.results.items()}

    def ratio(self, name, limit):
        """How much of its limit a measurement reached: the middle one of the rounds' ratios. A machine's speed changes from one
        minute to the next; the two of a round stand beside each other."""
        pairs = zip(self.results[name], self.results[limit], strict=True)
        return statistics.median_low([one["rows_per_s"] / other["rows_per_s"] for one, other in pairs])
