"""A PostgreSQL of the benchmark's own, on a Unix socket."""

import os
import pwd
import shutil
import subprocess

from .processes import Failed, run, tree_cpu

DATABASE = USER = "aqueduct"

# Nothing that makes either side faster than the other: checkpoints and autovacuum would fall into one measurement and not
# into the next. The time of the last commit is read back, hence track_commit_timestamp.
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "synchronous_commit": "off",
    "track_commit_timestamp": "on",
}


class Postgres:
    """Started at once; `stop` ends it."""

    def __init__(self, bin_dir, root):
        self.bin_dir, self.data, self.socket = bin_dir, f"{root}/postgres", f"{root}/socket"
        # The server refuses to run as root.
        self.user = {}
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            name = "postgres" if "postgres" in names else "nobody"
            self.user = {"user": name, "group": pwd.getpwnam(name).pw_gid, "cwd": "/"}
        for folder in (self.data, self.socket):
            os.mkdir(folder, 0o700 if folder == self.data else 0o755)
            if self.user:
                shutil.chown(folder, self.user["user"])
        run(
            [f"{bin_dir}/initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            **self.user,
        )
        with open(f"{self.data}/postgresql.conf", "a") as file:
            for key, value in SETTINGS.items():
                file.write(f"{key} = '{value}'\n")
            file.write(f"unix_socket_directories = '{self.socket}'\n")
        self._control("start", "-w", "-t", "60", "-l", f"{self.data}/log")
        with open(f"{self.data}/postmaster.pid") as file:
            self.pid = int(file.readline())
        run([*self.psql_line("postgres"), "-c", f"CREATE DATABASE {DATABASE}"])

    def _control(self, *arguments):
        # Not `run`: the server inherits the pipes, and reading them would last as long as it lives.
        command = [f"{self.bin_dir}/pg_ctl", "-D", self.data, "-s", *arguments]
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if subprocess.run(command, **quiet, **self.user).returncode != 0:
            raise Failed(f"PostgreSQL did not {arguments[0]}; its log is {self.data}/log")

    @property
    def url(self):
        """For the daemon."""
        return f"postgres://{USER}@/{DATABASE}?host={self.socket}"

    def psql_line(self, database=DATABASE):
        """psql and its options."""
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return ["psql", *options, "-h", self.socket, "-U", USER, "-d", database]

    def sql(self, *statements):
        """Runs statements; the last one's output, without the blank lines."""
        arguments = [argument for statement in statements for argument in ("-c", statement)]
        return run([*self.psql_line(), *arguments]).strip()

    def cpu(self):
        """CPU seconds so far, all its processes included."""
        return tree_cpu(self.pid)

    def stop(self):
        """Ends it; the data are the caller's to remove."""
        self._control("stop", "-m", "fast", "-t", "60")
