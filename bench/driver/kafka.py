"""A real Apache Kafka, through scripts/kafka."""

import os
import re

from .processes import own_cpu, run

# scripts/kafka starts quickly and small, for tests: with the first compiler only. A broker that runs for months has both.
JVM = "-Xms1g -Xmx1g -XX:+UseParallelGC"


class Kafka:
    """Started at once; `stop` ends it."""

    def __init__(self, repository, root):
        self.script, self.dir = f"{repository}/scripts/kafka", f"{root}/kafka"
        env = {"AQUEDUCT_KAFKA_JVM": JVM, **os.environ}
        self.brokers = run([self.script, "start", "--dir", self.dir, "--port", "auto"], env=env).strip()
        with open(f"{self.dir}/kafka.pid") as file:
            self.pid = int(file.read())

    def cpu(self):
        """CPU seconds so far."""
        return own_cpu(self.pid)

    def version(self):
        """As its jars say."""
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            found = re.search(rb"/kafka-([0-9.]+)/jars", file.read())
        return found[1].decode() if found else "unknown"

    def stop(self):
        """Ends it; the data are the caller's to remove."""
        run([self.script, "stop", "--dir", self.dir])
