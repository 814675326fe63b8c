"""SPOON Health: how users fare with a Next.js application behind nginx, beside the containers it runs in."""

from kit import *

STATUS = ',${status}=~'
COUNT = '{__name__="${duration}_count",@'
BUCKET = '{__name__="${duration}_bucket",@'
NONE = "No such histogram: does the application offer prom-client's metrics at /api/metrics, and is Name of the histogram right?"
NO_NODE = "The application does not collect prom-client's default metrics."
HOST = 'job=~"$agent_job",instance=~"$agent_instance",name=~"$name"'
MEMORY = alert("ContainerMemoryNearLimit")
THROTTLED = alert("ContainerThrottled")
SLOW = alert("AppSlow")


def rate(matchers="", by=""):
    return f"sum{by} (rate({COUNT}{matchers}}}[$__rate_interval]))"


def quantile(of, by="le"):
    return f"histogram_quantile({of}, sum by ({by}) (rate({BUCKET}}}[$__rate_interval])))"


FAILED = f'(({rate(STATUS + chr(34) + "5.." + chr(34))} or vector(0)) / ({rate()} > 0))'
WITHIN = f'sum(rate({BUCKET},le="1"}}[$__rate_interval])) / (sum(rate({COUNT}}}[$__rate_interval])) > 0)'

# What fails of 100 requests at most, over 30 days.
SLO = 0.99
UNRECORDED = "docker/prometheus/rules/recording.yml is not loaded, or the histogram has other names than it."


def burn(window):
    sums = [f"sum(sum_over_time(instance:http_requests{kind}:rate5m{{@}}[{window}]))" for kind in ("_failed", "")]
    return f"{sums[0]} / ({sums[1]} > 0) / {1 - SLO:.2f}"


DASHBOARD = dashboard(
    "stack-spoon", "SPOON Health", "Latency, errors and users of the application, and what its containers have left.",
    [*instances("nodejs_version_info"),
     query("agent_job", "Agent's job", "container_scrape_error", "job"), query("agent_instance", "Host", 'container_scrape_error{job=~"$agent_job"}', "instance"),
     query("name", "Container", 'container_last_seen{job=~"$agent_job",instance=~"$agent_instance",name!=""}', "name"),
     text("duration", "Name of the histogram", "http_request_duration_seconds", "The application's histogram of request times, without _bucket."),
     text("status", "Label of the status", "status_code", "The histogram's label with the HTTP status code."),
     text("route", "Label of the route", "route", "The histogram's label with the route."),
     text("users", "Name of active users", "app_active_users", "The application's gauge of active users.")],
    [
        ("How users fare", [
            stat("Requests that succeed", "Requests not answered with 5xx. Below 99 %: users see it.", f"1 - {FAILED}", "percentunit", below(0.99, 0.95), NONE, (4, 4)),
            stat("Typical request", "Half of the requests are answered within this.", quantile(0.5), "s", above(0.5, 1), NONE, (4, 4)),
            stat("Slow request", "95 of 100 requests are answered within this.", quantile(0.95), "s", above(1, SLOW), NONE, (4, 4)),
            stat("Requests", "Requests in a second.", rate(), "reqps", none=NONE, size=(4, 4)),
            stat("Answered within 1 s", "Share of requests answered within a second; needs a bucket at 1.", WITHIN, "percentunit", below(0.99, 0.95), NONE, (4, 4)),
            stat("Active users", "Users that the application counts as active, in its shortest window.", 'min(sum by (window) ({__name__="${users}",@}))', "short", none="The application does not tell: it needs a gauge as named above.", size=(4, 4)),
        ]),
        ("Error budget: 1 % of the requests of 30 days", [
            stat("Budget left", "What is left of the failures that 99 % in 30 days allow. Below 0, the promise is broken.", f"1 - {burn('30d')}", "percentunit", below(0.5, 0.1), UNRECORDED, (6, 8)),
            graph("Burn rate", "How many times faster than allowed the budget goes. Above 14.4 for an hour, it lasts two days; above 6, five.", [(burn("1h"), "1 hour"), (burn("6h"), "6 hours")], "short", UNRECORDED, (18, 8), above(6, 14.4)),
        ]),
        ("Latency", [
            graph("Latency", "Half, 95 and 99 of 100 requests are answered within this. Lines that part: a few requests are slow.", [(quantile(of), f"{int(of * 100)} %") for of in (0.5, 0.95, 0.99)], "s", NONE),
            graph("Slow requests by route", "95 of 100 requests are answered within this, for the ten slowest routes.", [(f'topk(10, {quantile(0.95, "le, ${route}")})', "{{${route}}}")], "s", NONE),
        ]),
        ("Errors and traffic", [
            graph("Failed requests", "Share of requests answered with 5xx. Any that stay need a look.", [(FAILED, "5xx")], "percentunit", NONE, steps=above(0.01, alert("AppErrorsMany"))),
            graph("Failures by route", "Requests answered with 5xx in a second, by route.", [(rate(STATUS + '"5.."', " by (${route}, ${status})"), "{{${route}}} {{${status}}}")], "reqps", "No request failed."),
            graph("Requests by status", "Requests in a second by status. 4xx that rise: a broken link, or someone who tries passwords.", [(rate("", " by (${status})"), "{{${status}}}")], "reqps", NONE, stack=True),
            graph("Active users", "Users active in each window, as the application counts them.", [('sum by (window) ({__name__="${users}",@})', "{{window}}")], none="The application does not tell: it needs a gauge as named above."),
        ]),
        ("What the application has left", [
            graph("Event loop", "How late timers come, 99 of 100. Above 100 ms every request waits that long.", [("nodejs_eventloop_lag_p99_seconds{@}", "{{instance}}")], "s", NO_NODE, (8, 7), above(alert("AppEventLoopBlocked"))),
            graph("Heap", "JavaScript's memory. A saw-tooth whose lows rise is a leak.", [("nodejs_heap_size_used_bytes{@}", "{{instance}} used"), ("nodejs_heap_size_total_bytes{@}", "{{instance}} size")], "bytes", NO_NODE, (8, 7)),
            graph("Garbage collection", "Share of time spent on collecting garbage.", [("sum by (instance) (rate(nodejs_gc_duration_seconds_sum{@}[$__rate_interval]))", "{{instance}}")], "percentunit", NO_NODE, (8, 7)),
            graph("Containers' CPU", "Cores in use by the chosen containers.", [(f"sum by (instance, name) (rate(container_cpu_usage_seconds_total{{{HOST}}}[$__rate_interval]))", "{{name}}")], none="No container runs.", size=(8, 7)),
            graph("Containers held back", "Share of periods in which the CPU limit stopped a container. The line is the alert ContainerThrottled.",
                  [(f"rate(container_cpu_cfs_throttled_periods_total{{{HOST}}}[$__rate_interval]) / (rate(container_cpu_cfs_periods_total{{{HOST}}}[$__rate_interval]) > 0)", "{{name}}")], "percentunit", "No container has a CPU limit.", (8, 7), above(THROTTLED)),
            graph("Containers' memory of limit", "What containers use of their memory limit. The line is the alert ContainerMemoryNearLimit.",
                  [(f"container_memory_working_set_bytes{{{HOST}}} / (container_spec_memory_limit_bytes{{{HOST}}} > 0)", "{{name}}")], "percentunit", "No container has a memory limit.", (8, 7), above(MEMORY)),
        ]),
    ],
)
