"""Measures exporters side by side; benches/compare, benches/host and benches/web start them and call this.

measure.py scrapes COUNT INTERVAL NAME=PID=URL...   the first one against all others together
measure.py host COUNT INTERVAL NAME=PID=URL...      the same with the limits of the host part
measure.py part COUNT INTERVAL NAME=PID=URL NAME=PID=URL
                                                    the container part alone against cAdvisor
measure.py tree COUNT PID URL WHAT LIMIT            CPU time of a scrape alone, in milliseconds
measure.py containers COUNT PID URL WHAT MS MIB     latency of a scrape, CPU time and memory
measure.py web COUNT CA USER:PASSWORD NAME=PID=URL...
                                            what each adds to the first, on one kept connection: TLS, a password, gzip
measure.py start COUNT URL COMMAND...               from starting COMMAND to its first answered scrape

CPU time is the process' own clock over the whole run, idle times and ended threads included, divided by the scrapes.
"""

import base64
import gzip
import http.client
import math
import os
import ssl
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CPU_SHARE, RSS_MIB, START_MS = 1 / 5, 15, 150
# The host part against node_exporter alone.
HOST_CPU_SHARE, HOST_LATENCY_SHARE, HOST_RSS_SHARE = 1 / 10, 1 / 5, 1 / 3
# The container part against cAdvisor alone.
CONTAINERS_CPU_SHARE = 1 / 50
# What TLS and a password add to a scrape, and gzip to each MB of page.
TLS_MS, GZIP_MS_A_MB = 1, 1


def cpu_seconds(pid):
    """clock_getcpuclockid(3) in Python: the clock of another process, in nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return [int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


def fetch(url):
    """A scrape as Prometheus asks for it: seconds, page, bytes sent."""
    request = urllib.request.Request(
        url, headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"}
    )
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        body, packed = response.read(), response.headers.get("Content-Encoding") == "gzip"
    seconds = time.perf_counter() - start
    return seconds, gzip.decompress(body) if packed else body, len(body)


def series_of(page):
    return sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))


class Target:
    def __init__(self, text):
        self.name, pid, self.url = text.split("=", 2)
        self.pid, self.seconds = int(pid), []

    def begin(self):
        for _ in range(3):
            fetch(self.url)
        self.cpu = cpu_seconds(self.pid)

    def scrape(self):
        seconds, page, self.sent = fetch(self.url)
        self.seconds.append(seconds)
        self.series, self.bytes = series_of(page), len(page)

    def end(self):
        self.cpu = (cpu_seconds(self.pid) - self.cpu) * 1000 / len(self.seconds)
        self.rss, self.peak = memory_mib(self.pid)
        ordered = sorted(self.seconds)
        self.p50 = statistics.median(ordered) * 1000
        self.p99 = ordered[math.ceil(len(ordered) * 0.99) - 1] * 1000


def row(name, series, size, sent, p50, p99, cpu, rss, peak):
    return f"| {name} | {series} | {size} | {sent} | {p50:.1f} | {p99:.1f} | {cpu:.1f} | {rss:.1f} | {peak:.1f} |"


def row_of(target):
    return row(target.name, target.series, target.bytes, target.sent, target.p50, target.p99, target.cpu, target.rss, target.peak)


def verdict(what, value, unit, limit):
    met = "met" if value <= limit else "MISSED"
    print(f"{what}: {value:.3g}{unit}, at most {limit:.3g}{unit} wanted: {met}")
    return value <= limit


def side_by_side(count, interval, targets):
    for target in targets:
        target.begin()
    begin = time.monotonic()
    for number in range(count):
        # Interleaved, so that whatever else the machine does hits all alike.
        for target in targets:
            target.scrape()
        time.sleep(max(0.0, begin + (number + 1) * interval - time.monotonic()))
    for target in targets:
        target.end()
    print("| | series | page bytes | sent bytes | p50 ms | p99 ms | CPU ms a scrape | RSS MiB | peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")


def part(count, interval, targets):
    side_by_side(count, interval, targets)
    ours, theirs = targets
    for target in (theirs, ours):
        print(row_of(target))
    print()
    return verdict("CPU time of the container part, share of cAdvisor's", ours.cpu / theirs.cpu, "", CONTAINERS_CPU_SHARE)


def scrapes(count, interval, targets, host=False):
    side_by_side(count, interval, targets)
    ours, others = targets[0], targets[1:]
    total = {
        name: sum(getattr(target, name) for target in others) for name in ("series", "bytes", "sent", "cpu", "rss", "peak")
    }
    slowest = {name: max(getattr(target, name) for target in others) for name in ("p50", "p99")}
    for target in others:
        print(row_of(target))
    print(row("all of these (the slowest's latency)", total["series"], total["bytes"], total["sent"], slowest["p50"], slowest["p99"],
              total["cpu"], total["rss"], total["peak"]))
    print(row_of(ours))
    print()
    if host:
        met = verdict("CPU time, share of theirs", ours.cpu / total["cpu"], "", HOST_CPU_SHARE)
        met = verdict("median latency, share of theirs", ours.p50 / slowest["p50"], "", HOST_LATENCY_SHARE) and met
        return verdict("resident memory, share of theirs", ours.rss / total["rss"], "", HOST_RSS_SHARE) and met
    met = verdict("CPU time, share of theirs", ours.cpu / total["cpu"], "", CPU_SHARE)
    return verdict("resident memory", ours.rss, " MiB", RSS_MIB) and met


def start(count, url, command):
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    _, page, _ = fetch(url)
                    break
                except (urllib.error.URLError, ConnectionError):
                    if process.poll() is not None or time.perf_counter() - begin > 30:
                        sys.exit(f"{command[0]} does not answer")
                    time.sleep(0.001)
            times.append((time.perf_counter() - begin) * 1000)
        finally:
            process.terminate()
            process.wait()
        for sign in (b"\nnode_boot_time_seconds ", b"\ncontainer_last_seen{", b"\npg_up 1\n", b"\nredis_up 1\n"):
            if sign not in page:
                sys.exit(f"the first page lacks {sign.decode().strip()}")
    print(f"start to first answered scrape: {min(times):.0f} to {max(times):.0f} ms")
    return verdict("start, median", statistics.median(times), " ms", START_MS)


def tree(count, pid, url, what, limit):
    for _ in range(3):
        fetch(url)
    cpu, times = cpu_seconds(pid), []
    for _ in range(count):
        seconds, page, _ = fetch(url)
        times.append(seconds * 1000)
    cpu = (cpu_seconds(pid) - cpu) * 1000 / count
    print(f"{what}: {series_of(page)} series, median {statistics.median(times):.1f} ms")
    return verdict("  CPU time of a scrape", cpu, " ms", limit)


def containers(count, pid, url, what, most_ms, most_mib):
    for _ in range(3):
        fetch(url)
    cpu, times = cpu_seconds(pid), []
    for _ in range(count):
        seconds, page, _ = fetch(url)
        times.append(seconds * 1000)
    cpu = (cpu_seconds(pid) - cpu) * 1000 / count
    rss, peak = memory_mib(pid)
    print(f"{what}: {series_of(page)} series, {len(page)} bytes, CPU {cpu:.1f} ms a scrape, slowest {max(times):.1f} ms, peak {peak:.1f} MiB")
    met = verdict("  scrape, median", statistics.median(times), " ms", most_ms)
    return verdict("  resident memory", rss, " MiB", most_mib) and met


class Kept:
    """A connection that is kept from scrape to scrape, as Prometheus does."""

    def __init__(self, text, ca, password):
        self.name, pid, url = text.split("=", 2)
        url = urllib.parse.urlsplit(url)
        self.pid, self.path, self.cpu = int(pid), url.path, []
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=ca)
            context.check_hostname = False
            self.connection = http.client.HTTPSConnection(url.hostname, url.port, context=context)
        else:
            self.connection = http.client.HTTPConnection(url.hostname, url.port)
        self.headers = {"Accept-Encoding": "gzip", "Authorization": "Basic " + base64.b64encode(password.encode()).decode()}

    def scrape(self):
        cpu = cpu_seconds(self.pid)
        self.connection.request("GET", self.path, headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            sys.exit(f"{self.name}: {response.status}")
        self.cpu.append((cpu_seconds(self.pid) - cpu) * 1000)
        self.sent = len(body)
        self.bytes = len(gzip.decompress(body)) if response.headers.get("Content-Encoding") == "gzip" else self.sent


def web(count, ca, password, targets):
    kept = [Kept(text, ca, password) for text in targets]
    for _ in range(count):
        # Interleaved, so that whatever else the machine does hits all alike.
        for target in kept:
            target.scrape()
    plain, tls, packed = kept
    for target in kept:
        # Not the first ones, which shake hands and compare the password.
        target.ms = statistics.median(target.cpu[3:])
        print(f"{target.name}: page of {target.bytes} bytes, {target.sent} sent, CPU {target.ms:.2f} ms a scrape (median)")
    met = verdict("TLS and a password add", tls.ms - plain.ms, " ms", TLS_MS)
    return verdict("gzip adds to each MB", (packed.ms - plain.ms) / (packed.bytes / 1e6), " ms", GZIP_MS_A_MB) and met


def main():
    mode, count, *rest = sys.argv[1:]
    if mode in ("scrapes", "host"):
        met = scrapes(int(count), float(rest[0]), [Target(text) for text in rest[1:]], mode == "host")
    elif mode == "part":
        met = part(int(count), float(rest[0]), [Target(text) for text in rest[1:]])
    elif mode == "web":
        met = web(int(count), rest[0], rest[1], rest[2:])
    elif mode == "containers":
        met = containers(int(count), int(rest[0]), rest[1], rest[2], float(rest[3]), float(rest[4]))
    elif mode == "tree":
        met = tree(int(count), int(rest[0]), rest[1], rest[2], float(rest[3]))
    else:
        met = start(int(count), rest[0], rest[1:])
    sys.exit(0 if met else 1)


main()
