"""What the checks of containers in the emulated host share: the agent, its page, Docker, and what of it is wrong."""

import re
import subprocess
import sys
import time
import urllib.request

PORT = 19100
SERIES = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r'\\(.)')
failures = []


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)}: {done.returncode} {done.stderr.strip()}')
    return done.stdout.strip()


def text():
    with urllib.request.urlopen(f'http://127.0.0.1:{PORT}/metrics/containers', timeout=30) as answer:
        page = answer.read().decode()
    with open('page.txt', 'w') as file:
        file.write(page)
    return page


def scrape():
    """The series of the page: name, labels, value."""
    series = []
    # Not splitlines: a label's value may hold what Unicode takes for the end of a line.
    for line in text().split('\n'):
        if line and not line.startswith('#'):
            name, labels, value = SERIES.match(line).groups()
            labels = {key: ESCAPE.sub(lambda found: '\n' if found[1] == 'n' else found[1], value) for key, value in LABEL.findall(labels or '')}
            series.append((name, labels, float(value)))
    return series


def values(page, family, **labels):
    return [value for name, have, value in page if name == family and labels.items() <= have.items()]


def check(what, holds, detail=''):
    print('ok  ' if holds else 'FAIL', what, detail, flush=True)
    if not holds:
        failures.append(what)


def wait_for(what, condition, limit=60):
    end = time.time() + limit
    while not condition():
        if time.time() > end:
            check(f'waited {limit} s for {what}', False)
            return False
        time.sleep(0.2)
    return True


def container(name, *options, command):
    return run('docker', 'run', '-d', '--name', name, *options, 'busybox', *command)


def cgroup(identity):
    return f'/system.slice/docker-{identity}.scope'


def read_file(path, file):
    """What the kernel has in a file of the cgroup of this path."""
    with open(f'/sys/fs/cgroup{path}/{file}') as text:
        return text.read().strip()


def kernel(identity, file):
    return read_file(cgroup(identity), file)


def key(path, file, wanted):
    return next(float(line.split()[1]) for line in read_file(path, file).splitlines() if line.split()[0] == wanted)


def between(what, path, family, read, **labels):
    """The page's value of a cgroup is none that it did not have while it was asked for."""
    before = read()
    found = values(scrape(), family, id=path, **labels)
    after = read()
    check(what, len(found) == 1 and before <= found[0] <= after, f'{before} <= {found} <= {after}')


def dying():
    """Cgroups that are removed and not yet gone: what charges still go to, or whose files are open."""
    with open('/sys/fs/cgroup/cgroup.stat') as text:
        return int(dict(line.split() for line in text)['nr_dying_descendants'])


def answers():
    try:
        return bool(text())
    except OSError:
        return False


def proved(checks, *options):
    """Runs the checks beside the agent with these options, says what came of them and ends the program."""
    # The emulated host brings this one along, as it reaches no registry.
    run('docker', 'import', '/root/busybox.tar', 'busybox')
    with open('agent.log', 'w') as log:
        agent = subprocess.Popen(['./stack-exporter', '--no-host', f'--web.listen-address=127.0.0.1:{PORT}', *options], stderr=log)
    try:
        wait_for('the agent', answers)
        checks()
        check('the agent lives', agent.poll() is None)
    finally:
        agent.terminate()
        agent.wait()
        left = run('docker', 'ps', '-aq').split()
        if left:
            run('docker', 'rm', '-f', *left)
    print(f'{len(failures)} checks failed' if failures else 'all checks passed')
    sys.exit(bool(failures))
