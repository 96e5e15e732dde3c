"""Processes: what they cost, out of /proc."""

import os
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Something the benchmark cannot go on without; the text is for the user."""


def _stat(pid):
    """Parent, own CPU seconds, CPU seconds of the children that it has waited for (proc(5))."""
    with open(f"/proc/{pid}/stat") as file:
        text = file.read()
    # The second field, the name, may contain blanks and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    own = int(fields[11]) + int(fields[12])
    waited_for = int(fields[13]) + int(fields[14])
    return int(fields[1]), own / TICKS, waited_for / TICKS


def tree_cpu(pid):
    """CPU seconds of a process and all its children, the ended ones included."""
    while True:
        _, own, waited_for = _stat(pid)
        total = own + waited_for + sum(_children_cpu(pid))
        # A child that was waited for in the meantime was in neither part.
        if _stat(pid)[2] == waited_for:
            return total


def _children_cpu(pid):
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent, own, waited_for = _stat(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                yield own + waited_for


def own_cpu(pid):
    """CPU seconds of one process, which may have ended as long as nobody has waited for it."""
    return _stat(pid)[1]


def peak_rss_kib(pid):
    """VmHWM, or None once the process has given its memory back."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


class Watched:
    """A program that runs to its end, or until it is told to, while its peak memory is read.

    VmHWM and not the kernel's ru_maxrss: the latter remembers the size of the Python that forked.
    """

    def __init__(self, arguments, output, env=None):
        self.output = output
        self.started = time.monotonic()
        with open(output, "wb") as file:
            self.process = subprocess.Popen(
                arguments, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self.pid = self.process.pid
        self.peak_kib = 0

    def look(self):
        """Reads the peak; False once the process has ended."""
        self.peak_kib = max(self.peak_kib, peak_rss_kib(self.pid) or 0)
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is None

    def wait(self, limit):
        """Waits for the end. Returns exit code, wall seconds, CPU seconds."""
        while self.look():
            if time.monotonic() - self.started > limit:
                self.end()
                raise Failed(f"{self.process.args[0]} did not end within {limit} s:\n{self.tail()}")
            time.sleep(0.01)
        seconds, cpu = time.monotonic() - self.started, own_cpu(self.pid)
        return self.process.wait(), seconds, cpu

    def end(self):
        """Asks it to end, and insists after 30 seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self, num_lines=20):
        """The last lines of what it printed."""
        with open(self.output, errors="replace") as file:
            return "".join(file.readlines()[-num_lines:])


def run(arguments, **options):
    """Runs a short program; its output as text."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
