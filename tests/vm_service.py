"""Run by tests/vm in the emulated host: the agent as the service of systemd/stack-exporter.service."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

UNIT = 'stack-exporter.service'
PLAIN, SERVICE = 19200, 19201
# Of 100, by `systemd-analyze security`; a service that says nothing of its sandbox has 96.
EXPOSURE = 3.5
# What the sandbox may cost: nothing that a page shows, but for series that come and go by themselves, and for PostgreSQL, which is
# asked as the socket's owner outside of it.
FLOOR = 99.5

failures = 0


def check(what, holds, how=''):
    global failures
    failures += not holds
    print('ok  ' if holds else 'FAIL', what, how)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def show(name):
    return run('systemctl', 'show', UNIT, f'--property={name}', '--value').stdout.strip()


def wait(what, limit, done):
    end = time.time() + limit
    while time.time() < end:
        if done():
            return True
        time.sleep(0.2)
    print('waited in vain for', what)
    return False


def series(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=60) as answer:
        page = answer.read().decode()
    # What each agent has of its own, what it learns of PostgreSQL in its own time, and the credentials that systemd keeps from other services.
    own = re.compile(r'^(process_|promhttp_|stack_exporter_|node_scrape_|pg_|stack_audit_.*subject="local")|device="/run/credentials/')
    return {line.rsplit(' ', 1)[0] for line in page.splitlines() if not line.startswith('#') and not own.search(line)}


def main():
    shutil.copy('stack-exporter', '/usr/local/bin/stack-exporter')
    shutil.copy(UNIT, f'/etc/systemd/system/{UNIT}')
    with open('/etc/default/stack-exporter', 'w') as file:
        file.write(f'STACK_EXPORTER_OPTIONS=--web.listen-address=127.0.0.1:{SERVICE}\n')
    run('systemctl', 'daemon-reload')
    started = run('systemctl', 'start', UNIT)
    check('systemctl start returns once the agent is ready', started.returncode == 0, started.stderr)
    check('the unit is active', show('ActiveState') == 'active', run('journalctl', '-u', UNIT, '-n', '20').stdout)
    plain = subprocess.Popen(['./stack-exporter', f'--web.listen-address=127.0.0.1:{PLAIN}'], stderr=subprocess.DEVNULL)
    try:
        def answers():
            try:
                return bool(series(PLAIN))
            except OSError:
                return False
        wait('the plain agent', 60, answers)
        # What is asked of a server once is on one page alone.
        bound = series(SERVICE)
        free = series(PLAIN)
        lost = sorted(free - bound - series(SERVICE) - series(SERVICE))
        share = 100 - 100 * len(lost) / len(free)
        check('the sandbox costs no series', share >= FLOOR, f'{share:.2f} % of {len(free)}; lost: {lost[:20]}')
    finally:
        plain.terminate()
        plain.wait()
    text = run('systemd-analyze', 'security', UNIT, '--no-pager').stdout
    exposure = float(re.search(r'Overall exposure level for \S+: ([\d.]+)', text)[1])
    check('little is exposed', exposure <= EXPOSURE, str(exposure))
    pid = int(show('MainPID'))
    os.kill(pid, 19)
    check('one that hangs is started anew', wait('a new process', 90, lambda: show('MainPID') not in ('0', str(pid))))
    check('by the watchdog', 'atchdog' in run('journalctl', '-u', UNIT).stdout)
    begin = time.time()
    run('systemctl', 'stop', UNIT)
    check('it stops at once and cleanly', show('Result') in ('success', 'watchdog') and time.time() - begin < 5, show('Result'))
    return failures > 0


sys.exit(main())
