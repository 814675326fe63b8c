"""Infrastructure Risks: what the agent's audit has found."""

from kit import *

FOUND = "stack_audit_finding{@} == 1"
NONE = "Nothing found, or the agent does not audit."

DASHBOARD = dashboard(
    "stack-risks", "Infrastructure Risks", "What usually brings such a host down, and is there now; the agent's own page tells the remedy.",
    instances("stack_exporter_build_info"),
    [
        ("Now", [
            stat("Findings", "All findings of the audit.", f"count({FOUND}) or vector(0)", "short", above(1, 10), size=(6, 4)),
            stat("By severity", "Findings of each severity.", f"count by (severity) ({FOUND})", "short", above(1), NONE, (6, 4), "{{severity}}"),
            stat("Warnings of the agent", "What keeps the agent from seeing all of the host.", "count(stack_exporter_warning{@} == 1) or vector(0)", "short", above(1, 5), size=(6, 4)),
            stat("Checks made", "Checks that the audit makes in a minute: none means that nothing is audited.", "sum(rate(stack_audit_checks_total{@}[$__rate_interval])) * 60", "short", NEUTRAL, "Nothing is audited.", (6, 4)),
        ]),
        ("Findings", [
            table("Findings", "Each finding: what was checked, how bad it is, of what, and for how long it was found within the last 7 days.", [("Found for", f"(count_over_time(stack_audit_finding{{@}}[7d:5m]) * 300) and {FOUND}", "s", None)], ["instance", "severity", "check", "subject"], none=NONE, size=(24, 12)),
            graph("Findings over time", "Findings by severity. A step up: look what was changed then.", [(f"count by (severity) ({FOUND})", "{{severity}}")], none=NONE),
            bars("Findings by check", "What is wrong most often.", f"count by (check) ({FOUND})", "{{check}}", none=NONE),
        ]),
        ("What cannot be seen", [
            table("Warnings of the agent", "Rights, mounts or settings that the agent lacks.", [("Warned", "stack_exporter_warning{@} == 1", "short", None)], ["instance", "part", "missing", "advice"], none="The agent sees all."),
        ]),
    ],
)
