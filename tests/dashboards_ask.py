#!/usr/bin/env python3
"""Asks $PROMETHEUS every expression of every dashboard. Each gives finite data with the labels that its panel names, or stands
below with its reason. Run by tests/dashboards, and by tests/stack-up (FRESH=1) of a stack that has just come up."""

import json
import os
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

PROMETHEUS = os.environ["PROMETHEUS"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "dashboards"
FRESH = "FRESH" in os.environ
SECONDS = int(os.environ.get("WITHIN", 60 if FRESH else 120))
# When the stack was started, in seconds of the clock that never jumps.
BEGAN = float(os.environ.get("BEGAN", time.monotonic()))
# Four times the scrape interval, as Grafana reckons it.
VALUES = {"__rate_interval": "60s" if FRESH else "20s", "target": ".*", "duration": "http_request_duration_seconds", "status": "status_code", "route": "route", "users": "app_active_users"}

# Part of an expression: why it may be empty on the machine of the test.
EMPTY = {
    "stack_audit_finding": "depends on what is wrong with this machine",
    "ALERTS": "nothing need fire",
    "stack_exporter_warning": "depends on what the agent may see here",
    "stack_exporter_discovered_target": "nothing is discovered: both databases are named",
    "stack_exporter_collector_success": "no collector fails",
    "stack_exporter_collector_last_error_info": "no collector fails",
    "node_nf_conntrack": "the kernel tracks connections only where a firewall asks for it",
    "node_pressure_": "this kernel may lack PSI",
    "container_pressure_": "cgroup v2 alone tells it",
    "node_systemd_unit_state": "the collector systemd is off by default",
    "node_memory_Swap": "this machine has no swap",
    "node_disk_": "no disk is busy, or none is seen in a container",
    "offset 1w": "the test has no last week",
    "node_timex_": "seen where adjtimex may be called",
    "deriv(node_filesystem_avail_bytes": "nothing fills up",
    "changes(node_boot_time_seconds": "nothing restarts",
    "changes(container_start_time_seconds": "nothing restarts",
    "container_network_": "the test's containers have no network",
    "container_fs_": "the kernel may count no I/O for containers",
    "container_writable_layer_": "the test's engine keeps no layers apart",
    "docker_volume_": "the test's containers have no volume",
    "container_cpu_cfs_": "this kernel may have no CPU bandwidth control",
    "container_spec_cpu_quota": "this kernel may have no CPU bandwidth control",
    "container_oom_events_total": "cgroup v1 before Linux 4.13 does not count",
    "container_state{": "every container runs",
    "container_health_failing_streak": "no container has a health check",
    "container_memory_swap": "swap is not accounted here",
    "pg_xmin_horizon_age_transactions": "nothing need hold vacuum up",
    "redis_audit_finding": "depends on the machine",
}

# Metrics of rules that this machine need not have.
LACKING = {
    "container_exit_code": "no container has ended",
    "container_finish_time_seconds": "no container has ended",
    "node_edac_": "the memory controller tells of no errors",
    "node_md_": "there is no RAID",
    "node_nf_conntrack_": "the kernel tracks connections only where a firewall asks for it",
    "node_pressure_": "this kernel may lack PSI",
    "node_systemd_unit_state": "the collector systemd is off by default",
    "container_cpu_cfs_": "this kernel may have no CPU bandwidth control",
    "container_oom_events_total": "cgroup v1 before Linux 4.13 does not count",
    "pg_archiver_last_": "nothing is archived",
    "pg_index_invalid": "no index is broken",
    "pg_lock_": "nobody need wait for a lock",
    "pg_postmaster_start_time_seconds": "the collector postmaster is off by default",
    "pg_replication_receiver_up": "needs a standby",
    "pg_replication_replay_lag_bytes": "needs a standby",
    "pg_replication_slot": "needs a slot",
    "pg_sequence_used_ratio": "there is no sequence",
    "pg_settings_pending_restart": "no setting waits",
    "pg_stat_database_checksum_failures_total": "told by clusters with checksums",
    "pg_transaction_oldest_age_seconds": "no transaction is open for long",
    "pg_xmin_horizon_age_transactions": "nothing need hold vacuum up",
    "redis_connected_slave_lag_seconds": "needs a replica",
    "redis_master_link_up": "told by a replica",
    "stack_exporter_discovered_target": "no database is out of reach",
}

# The same of a stack that has just come up: what it has none of yet.
if FRESH:
    EMPTY |= {
        "pg_transaction_oldest_age_seconds": "no transaction is open for long",
        "pg_lock_waiting": "nobody waits for a lock",
        "pg_replication_replay_lag_bytes": "it has no standby",
        "pg_replication_slot_retained_bytes": "it has no slot",
        "redis_connected_slave_lag_seconds": "it has no replica",
    }


def ask(expression):
    data = urllib.parse.urlencode({"query": expression}).encode()
    with urllib.request.urlopen(f"{PROMETHEUS}/api/v1/query", data, timeout=20) as answer:
        return json.load(answer)["data"]["result"]


def filled(text):
    return re.sub(r"\$\{?([a-z_]+)\}?", lambda found: VALUES.get(found[1], ".+"), text)


def panels():
    for path in sorted(HERE.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] != "row":
                yield f"{path.stem}: {panel['title']}", panel


def reason(expression):
    return next((why for part, why in EMPTY.items() if part in expression), None)


def problems():
    found, asked, empty = [], 0, []
    for place, panel in panels():
        labels = set()
        for target in panel["targets"]:
            expression = filled(target["expr"])
            asked += 1
            try:
                series = ask(expression)
            except OSError as error:
                found.append(f"{place}: {error}: {expression}")
                continue
            values = [float(one["value"][1]) for one in series]
            if not any(abs(value) < float("inf") for value in values):
                why = reason(expression)
                (empty if why else found).append(f"{place}: empty{f' ({why})' if why else ''}: {expression}")
                continue
            labels |= {label for one in series for label in one["metric"]}
            # A label that no series has leaves a hole in the legend. Two PostgreSQL servers are watched, which the label target tells
            # apart, and one Redis, which has none.
            for label in re.findall(r"{{\s*(.*?)\s*}}", filled(target["legendFormat"])):
                if (label != "target" or place.startswith("postgresql")) and not any(label in one["metric"] for one in series):
                    found.append(f"{place}: no label {label}: {expression}")
        for step in panel.get("transformations", []):
            if step["id"] == "filterFieldsByName" and labels:
                missing = [name for name in step["options"]["include"]["names"] if not name.startswith("Value") and name not in labels | {"target"} and "ALERTS" not in expression]
                if missing:
                    found.append(f"{place}: no label {missing}")
    return found, asked, empty


def variables():
    for path in sorted(HERE.glob("*.json")):
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
                series = ask(filled(metric))
                if not series or (label != "target" and not all(label in one["metric"] for one in series)):
                    yield f"{path.stem}: variable {variable['name']} has no values: {metric}"


def of_rules():
    """Rules are empty where all is well. So each metric that they name is asked for, with each label that they match."""
    asked = set()
    for path in sorted((ROOT / "docker/prometheus/rules").glob("*.yml")):
        for expression in re.findall(r"expr: (.*)", path.read_text()):
            bare = re.sub(r"\b(by|on|ignoring|without) \([^)]*\)", "", expression)
            for name, matchers in re.findall(r"\b([a-z_]+[a-z0-9_:]*[_:][A-Za-z0-9_:]+)\b(?!\()({[^}]*})?", re.sub(r'"[^"]*"', '""', bare)):
                labels = re.findall(r"(\w+)\s*[=!]", matchers)
                asked.add("count(" + name + "{" + ",".join(f'{label}!=""' for label in labels) + "})")
    for expression in sorted(asked):
        if not ask(expression) and not any(part in expression for part in LACKING):
            yield f"rules: no series: {expression}"


def main():
    end = BEGAN + SECONDS
    while True:
        found, asked, empty = problems()
        found += variables()
        found += of_rules()
        if not found or time.monotonic() > end:
            break
        time.sleep(2)
    print(*empty, *found, sep="\n")
    print(f"{asked} expressions, {asked - len(empty) - len(found)} with data, {len(empty)} empty for a reason, {len(found)} problems, after {time.monotonic() - BEGAN:.0f} s")
    sys.exit(bool(found))


main()
