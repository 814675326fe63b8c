"""Exporter: the agent itself, what it costs and what it cannot do."""

from kit import *

# Every process has such metrics; an agent is one that has told its build, in the last day where it is down now.
OURS = " and on (job, instance) stack_exporter_build_info{@}"
KNOWN = " and on (job, instance) last_over_time(stack_exporter_build_info{@}[1d])"

DASHBOARD = dashboard(
    "stack-exporter", "Exporter", "The agent itself: what it costs, how it is scraped, which of its collectors fail.",
    instances("stack_exporter_build_info"),
    [
        ("Now", [
            stat("Agents up", "Agents that Prometheus can scrape, the worst of them. 0 is the alert AgentDown.", "min(up{@}" + KNOWN + ")", "short", GOOD_IF_ONE, "No agent is known to Prometheus.", maps={0: "one is down", 1: "all up"}),
            stat("Collectors failing", "Collectors that could not deliver. For five minutes, it fires AgentCollectorFailing.", "count(stack_exporter_collector_success{@} == 0) or vector(0)", "short", BAD_IF_ANY),
            stat("Scrape", "How long the slowest page takes. Near the scrape interval: points get lost.", "max(scrape_duration_seconds{@}" + OURS + ")", "s", above(1, 5)),
            stat("Samples", "Samples on all pages; what Prometheus has to store.", "sum(scrape_samples_scraped{@}" + OURS + ")"),
            stat("Memory", "Resident memory of the largest agent.", "max(process_resident_memory_bytes{@}" + OURS + ")", "bytes", above(48e6, 64e6)),
            stat("CPU", "Share of one core that the busiest agent uses.", "max(rate(process_cpu_seconds_total{@}[$__rate_interval])" + OURS + ")", "percentunit", above(0.05, 0.2), decimals=1),
        ]),
        ("Cost", [
            graph("Memory", "Resident memory. A steady rise is a leak: report it.", [("process_resident_memory_bytes{@}" + OURS, "{{instance}}")], "bytes", size=(8, 7)),
            graph("CPU", "Share of one core.", [("rate(process_cpu_seconds_total{@}[$__rate_interval])" + OURS, "{{instance}}")], "percentunit", size=(8, 7)),
            graph("Open files", "Files and connections that the agent holds open.", [("process_open_fds{@}" + OURS, "{{instance}}")], size=(8, 7)),
        ]),
        ("Scrapes", [
            graph("Scrape time", "How long a page takes.", [("scrape_duration_seconds{@}" + OURS, "{{instance}}")], "s", size=(8, 7)),
            graph("Samples", "Samples on a page. A step up: something with many labels was switched on.", [("scrape_samples_scraped{@}" + OURS, "{{instance}}")], size=(8, 7)),
            graph("Answers", "Scrapes by HTTP status. 503: too many at once.", [("rate(promhttp_metric_handler_requests_total{@}[$__rate_interval])" + OURS, "{{instance}} {{code}}")], "reqps", size=(8, 7)),
        ]),
        ("Collectors", [
            bars("Slowest collectors", "The twelve that take the longest.", "topk(12, stack_exporter_collector_duration_seconds{@})", "{{collector}} {{instance}}", "s"),
            timeline("Failing collectors", "Collectors that failed at some time of the range.", "stack_exporter_collector_success{@} == 0", "{{collector}} {{instance}}", {0: ("failed", RED)}, "All deliver.", (12, 8)),
            table("Why they fail", "The last error of each collector.", [("Told", "stack_exporter_collector_last_error_info{@}", "short", None)], ["instance", "collector", "error"], none="No collector has failed.", size=(12, 8)),
            table("Found by itself", "Databases that the agent discovered, and whether it reaches them.", [("Found", "stack_exporter_discovered_target{@}", "short", None)], ["instance", "part", "target", "reached"], none="Nothing was discovered: no container engine, or only targets that were named.", size=(12, 8)),
            graph("Duplicates", "Series left out because a page had them already. Any that stay: two sources say the same.", [("rate(stack_exporter_duplicate_series_total{@}[$__rate_interval])", "{{instance}}")], "ops"),
            table("Versions", "Which agent runs where.", [("Running", "stack_exporter_build_info{@}", "short", None)], ["instance", "version"], size=(12, 8)),
        ]),
    ],
)
