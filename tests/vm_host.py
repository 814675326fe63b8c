"""Run by tests/vm in the emulated host: the page of the host beside Debian's node_exporter 1.9.0, by parity.py."""

import os
import re
import subprocess
import sys
import time
import urllib.request

OURS, THEIRS = 19100, 19101
FLOOR = 99.5
ROUNDS = 3

# Families that cannot be equal, and why.
ASIDE = {'node_perf_.*': 'each program counts from its own start'}
# What tells of the exporter and not of the host.
OWN = '^(go_|process_|promhttp_|node_exporter_build_info|node_scrape_)'


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def collectors(program):
    output = run(program, '--help')
    return set(re.findall(r'--\[?(?:no-)?\]?collector\.(\w+)(?=\s)', output.stdout + output.stderr))


def start(program, port, names):
    arguments = ['--collector.disable-defaults'] + [f'--collector.{name}' for name in sorted(names)]
    if program.startswith('./'):
        arguments += ['--no-containers', '--no-postgres', '--no-redis']
    log = open(f'{os.path.basename(program)}.log', 'w')
    child = subprocess.Popen([program, f'--web.listen-address=127.0.0.1:{port}', *arguments], stdout=log, stderr=log)
    end = time.time() + 120
    while time.time() < end:
        try:
            scrape(port)
            return child
        except OSError:
            time.sleep(0.5)
    sys.exit(f'{program} does not answer: ' + open(log.name).read()[-3000:])


def scrape(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=60) as answer:
        return answer.read().decode()


def comparison():
    """The lines of what does not match, and how many series there are."""
    skip = [word for family in [OWN, *(f'^{name}$' for name in ASIDE)] for word in ('--skip', family)]
    urls = [f'http://127.0.0.1:{port}/metrics' for port in (THEIRS, OURS)]
    text = run(sys.executable, 'parity.py', '--bracket', '--max', '100000', *skip, *urls).stdout
    misses, section = {}, ''
    for line in text.splitlines():
        if not line.startswith('    '):
            section = line.split(' (')[0]
        elif section != 'only in the candidate':
            what, _, how = line.strip().partition(': ')
            misses[what] = f'{section}: {how}'
    figures = dict(re.findall(r'(\w+)=([\d.]+)', text.splitlines()[-1]))
    return misses, figures, text


def main():
    names = collectors('./stack-exporter') & collectors('prometheus-node-exporter')
    theirs = start('prometheus-node-exporter', THEIRS, names)
    ours = start('./stack-exporter', OURS, names)
    try:
        for _ in range(2):
            scrape(OURS), scrape(THEIRS)
        # On a slow machine a gauge may jump between two readings; one that is wrong is wrong every time.
        misses, figures, text = comparison()
        print(f'{len(names)} collectors; one reading: {figures}')
        for _ in range(ROUNDS - 1):
            again, figures, text = comparison()
            print(f'one reading: {figures}')
            misses = {what: how for what, how in misses.items() if what in again}
        for port, name in ((OURS, 'ours'), (THEIRS, 'theirs')):
            open(f'host-{name}.txt', 'w').write(scrape(port))
        open('host-parity.txt', 'w').write(text)
        failed = re.findall(r'^node_scrape_collector_success\{collector="(\w+)"\} 0', open('host-ours.txt').read(), re.M)
        print('no data or failed here:', ' '.join(failed))
    finally:
        for child in (theirs, ours):
            child.terminate()
            child.wait()
    total = int(figures['reference'])
    share = 100 - 100 * len(misses) / total
    for what, how in sorted(misses.items()):
        print('miss', what, how)
    verdict = 'ok  ' if share >= FLOOR and total > 500 else 'FAIL'
    print(f'{verdict} {share:.2f} % of {total} series of node_exporter 1.9.0 in {ROUNDS} readings; floor {FLOOR} %')
    return verdict == 'FAIL'


sys.exit(main())
