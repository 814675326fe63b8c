"""Run by tests/churn: containers come and go while the program is scraped."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request

PROGRAM, DOCKER, SECONDS, RATE = sys.argv[1], sys.argv[2].removeprefix('unix://'), float(sys.argv[3]), float(sys.argv[4])
# Enough to keep the rate where each start waits for others.
WORKERS = 24
# Seconds behind its turn from which on a container is not started.
LATE = 0.25
# Other programs of the machine make cgroups too.
OTHERS = 8
LIMIT = 0.5
# As little work for the machine as a container can be: namespaces, mounts and a filter are most of a start.
LIGHT = {'NetworkMode': 'host', 'IpcMode': 'host', 'PidMode': 'host', 'SecurityOpt': ['seccomp=unconfined'], 'LogConfig': {'Type': 'none'},
         'MaskedPaths': [], 'ReadonlyPaths': []}
SERIES = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
names, started = {}, []
lock = threading.Lock()
failures = []


class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # One that hangs fails the run, and does not hang it.
        self.sock.settimeout(60)
        self.sock.connect(DOCKER)


def ask(method, path, body=None):
    engine = Engine('engine')
    text = json.dumps(body) if body is not None else None
    engine.request(method, path, text, {'Content-Type': 'application/json'} if text else {})
    answer = engine.getresponse()
    data = answer.read()
    engine.close()
    if answer.status >= 400:
        raise RuntimeError(f'{method} {path}: {answer.status} {data[:200]}')
    return json.loads(data) if data.strip() else None


def check(what, holds, detail=''):
    print('ok  ' if holds else 'FAIL', what, detail, flush=True)
    if not holds:
        failures.append(what)


def churn(worker, start):
    number = 0
    while time.monotonic() < start + SECONDS:
        # A machine whose CPUs cannot start so many a second keeps the rate by those that are removed without having run.
        turn = start + (worker / WORKERS + number) * WORKERS / RATE
        late = time.monotonic() - turn
        time.sleep(max(0, -late))
        name = f'churn-{worker}-{number}'
        number += 1
        made = ask('POST', f'/containers/create?name={name}',
                   {'Image': 'busybox:test', 'Cmd': ['sleep', '60'], 'HostConfig': LIGHT})
        with lock:
            names[made['Id']] = name
        if late < LATE:
            ask('POST', f"/containers/{made['Id']}/start")
            started.append(name)
        ask('DELETE', f"/containers/{made['Id']}?force=true")


def scrape():
    start = time.monotonic()
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics/containers', timeout=30) as answer:
        page = answer.read().decode()
    return time.monotonic() - start, page


def wrong(page):
    """Series that come twice, or whose name is not that of the container in their path."""
    seen, found = set(), set()
    with lock:
        known = dict(names)
    for line in page.splitlines():
        if line.startswith('#'):
            continue
        series = line.rsplit(' ', 1)[0]
        if series in seen:
            found.add(f'twice: {series}')
        seen.add(series)
        labels = dict(LABEL.findall(series))
        identity = next((word for word in re.findall('[0-9a-f]{64}', labels.get('id', '')) if word in known), None)
        if identity and labels.get('name', known[identity]) != known[identity]:
            found.add(f'of another name: {series}')
    if 'stack_exporter_collector_success{part="containers",collector="containers"} 1' not in page:
        found.add('the collector failed')
    return found


def status(key):
    with open(f'/proc/{agent.pid}/status') as text:
        return next(int(line.split()[1]) for line in text if line.startswith(key + ':'))


def descriptors():
    folder = f'/proc/{agent.pid}/fd'
    links = []
    for entry in os.listdir(folder):
        try:
            links.append(os.readlink(f'{folder}/{entry}'))
        except FileNotFoundError:
            pass
    return links


def cgroups():
    """What the kernel keeps of cgroups, those among them that are removed and not yet gone."""
    try:
        with open('/sys/fs/cgroup/cgroup.stat') as text:
            return {key: int(count) for key, count in (line.split() for line in text)}
    except FileNotFoundError:
        # v1: by controller, the dying ones counted in.
        with open('/proc/cgroups') as text:
            return {line.split()[0]: int(line.split()[2]) for line in text if not line.startswith('#')}


def more():
    """By how much the count is above what it was, of the controller that has most."""
    now = cgroups()
    return max(now[key] - kept[key] for key in kept.keys() & now.keys())


with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
agent = subprocess.Popen([PROGRAM, '--no-host', '--no-postgres', '--no-redis', f'--web.listen-address=127.0.0.1:{port}',
                          f'--docker=unix://{DOCKER}'], stderr=subprocess.DEVNULL)
try:
    while True:
        try:
            if 'container_engine_up{' in scrape()[1]:
                break
        except OSError:
            time.sleep(0.05)
    warm = [scrape()[0] for _ in range(20)]
    before = (len(descriptors()), status('VmRSS'))
    kept, peak = cgroups(), 0
    start = time.monotonic()
    threads = [threading.Thread(target=churn, args=(worker, start)) for worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    times, bad, most = [], set(), before[1]
    while any(thread.is_alive() for thread in threads):
        took, page = scrape()
        times.append(took)
        bad |= wrong(page)
        most, peak = max(most, status('VmRSS')), max(peak, more())
        time.sleep(0.2)
    took = time.monotonic() - start
    print(f'{len(names)} containers in {took:.0f} s, {len(names) / took:.1f} a second, of which {len(started)} ran; {len(times)} scrapes')
    check('so many came and went', len(names) >= 0.95 * SECONDS * RATE, f'{SECONDS * RATE:.0f} were due')
    check('no scrape takes longer than 500 ms', max(times) < LIMIT,
          f'median {sorted(times)[len(times) // 2] * 1000:.0f} ms, most {max(times) * 1000:.0f} ms, before {max(warm) * 1000:.0f} ms')
    check('every name is right, every series comes once', not bad, sorted(bad)[:5])
    end = time.monotonic() + 30
    gone = lambda: not any(name in scrape()[1] for name in names.values())
    while time.monotonic() < end and not gone():
        time.sleep(0.5)
    check('no series is left', gone())
    links = descriptors()
    check('no descriptor is left', len(links) <= before[0] + 8, f'{before[0]} before, {len(links)} after')
    held = [link for link in links if any(identity in link for identity in re.findall('[0-9a-f]{64}', link) if identity in names)]
    check('no file of a removed cgroup is held', not held, held[:3])
    end = time.monotonic() + 60
    while time.monotonic() < end and more() > OTHERS:
        time.sleep(0.5)
    check("the kernel's count of cgroups returns to where it was", more() <= OTHERS, f'{peak} more at most, {more()} more after; {cgroups()}')
    check('no memory is left', status('VmRSS') <= before[1] + 4096, f'{before[1]} kB before, {most} most, {status("VmRSS")} after')
    check('the program lives', agent.poll() is None)
finally:
    agent.terminate()
    for identity in names:
        try:
            ask('DELETE', f'/containers/{identity}?force=true')
        except RuntimeError:
            pass
print(f'{len(failures)} checks failed' if failures else 'all checks passed')
sys.exit(bool(failures))
