"""The table for people and the JSON for the history."""

import datetime
import json
import os
import platform

# What the ratios are of, and what an issue has asked for.
RATIOS = [
    ("append", "append", "append: limit", 0.70),
    ("upsert new", "upsert new", "upsert new: limit", 0.70),
    ("upsert changed", "upsert changed", "upsert changed: limit", None),
    ("upsert equal", "upsert equal", "upsert equal: limit", None),
    ("HTTP -> Kafka", "HTTP -> Kafka", "bare producer", 0.40),
]
RSS_GOAL_MIB = 200


def report(bench, setting):
    """Everything in one object. `setting` is what was measured, and with what."""
    ratios = {name: bench.ratio(of, limit) for name, of, limit, _ in RATIOS}
    return {**setting, "measures": bench.medians(), "ratios": ratios}


def setting(num_records, num_rounds, profile, commit, is_dirty, versions):
    """What has to be known to compare one report with another."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": is_dirty,
        "records": num_records,
        "rounds": num_rounds,
        "profile": profile,
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "load_average_before": os.getloadavg()[0],
        "versions": versions,
    }


def _cpu_model():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def table(found):
    """For people."""
    lines = [
        f"{found['records']:,} records, profile {found['profile']}, commit {found['commit']}"
        f"{' with changes' if found['dirty'] else ''}, {found['cores']} cores,"
        f" load average before {found['load_average_before']:.1f}",
        "",
        f"{'':24}{'rows/s':>10}  {'CPU-s per million rows':^31}  {'peak RSS':>8}",
        f"{'':24}{'':>10}  {'client':>9}{'PostgreSQL':>13}{'broker':>9}  {'MiB':>8}",
    ]
    for name, one in found["measures"].items():
        cpu = one["cpu_s_per_million"]
        rss = f"{one['peak_rss_mib']:.0f}" if one["peak_rss_mib"] else ""
        lines.append(
            f"{name:24}{one['rows_per_s']:>10,.0f}  {cpu['client']:>9.2f}{cpu['postgresql']:>13.2f}"
            f"{cpu['broker']:>9.2f}  {rss:>8}"
        )
    lines.append("")
    for name, of, limit, goal in RATIOS:
        verdict = f"  (goal {goal:.0%})" if goal else ""
        lines.append(f"{name:16}{found['ratios'][name]:>7.0%} of {limit}{verdict}")
    peak = max(found["measures"][name]["peak_rss_mib"] for _, name, _, _ in RATIOS)
    lines.append(f"{'peak RSS':16}{peak:>7.0f} MiB  (goal: under {RSS_GOAL_MIB} MB)")
    if found["load_average_before"] > 0.5 * found["cores"]:
        lines += ["", "The machine was busy before: these figures are no measurement. Compare CPU-seconds only."]
    return "\n".join(lines)


def keep(found, folder, is_full):
    """Writes the JSON; small tries and changed trees do not go to the history."""
    stamp = found["date"].replace(":", "").replace("-", "").split("+")[0]
    prefix = "" if is_full and not found["dirty"] else "try-"
    path = f"{folder}/{prefix}{stamp}-{found['commit']}.json"
    with open(path, "w") as file:
        json.dump(_rounded(found), file, indent=2, ensure_ascii=False)
        file.write("\n")
    return path


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value
