"""What a load is measured against: psql with the same rows, ready in PostgreSQL's own format."""

from .daemon import LIMIT, TABLE
from .processes import Failed, Watched


class Limits:
    """`binary` is the file that COPY wrote from the loaded table, in the order in which the daemon loaded it."""

    def __init__(self, postgres, root, num_records):
        self.postgres, self.root, self.num_records = postgres, root, num_records
        self.binary = f"{root}/users.bin"
        columns = postgres.sql(
            f"SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute"
            f" WHERE attrelid = '{TABLE}'::regclass AND attnum > 0"
        )
        self.columns = columns.split(",")

    def write_binary(self):
        """Makes the file."""
        self.postgres.sql(f"\\copy {TABLE} to '{self.binary}' with (format binary)")

    def fill(self, changed=False):
        """Leaves the table full and freshly packed; `changed`: with another username in each row."""
        statements = [f"TRUNCATE {TABLE}", f"\\copy {TABLE} from '{self.binary}' with (format binary)"]
        if changed:
            others = ", ".join("username || '~'" if name == "username" else name for name in self.columns)
            statements += [
                f"CREATE UNLOGGED TABLE other AS SELECT {others} FROM {TABLE}",
                f"TRUNCATE {TABLE}",
                f"INSERT INTO {TABLE} SELECT * FROM other",
                "DROP TABLE other",
            ]
        self.postgres.sql(*statements, f"VACUUM (ANALYZE) {TABLE}", "CHECKPOINT")

    def empty(self):
        """Leaves the table empty."""
        self.postgres.sql(f"TRUNCATE {TABLE}", "CHECKPOINT")

    def append(self):
        """`\\copy` straight into the table."""
        return self._psql("append", f"\\copy {TABLE} from '{self.binary}' with (format binary)")

    def upsert(self):
        """`\\copy` into a temporary table, then INSERT … ON CONFLICT."""
        values = [name for name in self.columns if name != "uuid"]
        updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in values)
        return self._psql(
            "upsert",
            "BEGIN",
            f"CREATE TEMPORARY TABLE stage (LIKE {TABLE}) ON COMMIT DROP",
            f"\\copy stage from '{self.binary}' with (format binary)",
            f"INSERT INTO {TABLE} SELECT * FROM stage ON CONFLICT (uuid) DO UPDATE SET {updates}",
            "COMMIT",
        )

    def _psql(self, name, *statements):
        arguments = [argument for statement in statements for argument in ("-c", statement)]
        psql = Watched([*self.postgres.psql_line(), *arguments], f"{self.root}/limit-{name}.log")
        code, seconds, cpu = psql.wait(LIMIT)
        if code != 0:
            raise Failed(f"psql ended with {code} (limit of {name}):\n{psql.tail()}")
        return {"records": self.num_records, "seconds": seconds, "client_cpu": cpu, "peak_kib": psql.peak_kib}
