"""Run by tests/vm in the emulated host: the checks of the audit whose causes are not to be had elsewhere."""

import ctypes
import re
import subprocess
import time
import urllib.request

PORT = 19300
ADJ_MAXERROR, ADJ_STATUS, STA_UNSYNC = 0x0004, 0x0010, 0x0040

failures = 0


class Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = [
        ('modes', ctypes.c_uint),
        *((name, ctypes.c_long) for name in ('offset', 'freq', 'maxerror', 'esterror')),
        ('status', ctypes.c_int),
        *((name, ctypes.c_long) for name in ('constant', 'precision', 'tolerance', 'sec', 'usec', 'tick', 'ppsfreq', 'jitter')),
        ('shift', ctypes.c_int),
        *((name, ctypes.c_long) for name in ('stabil', 'jitcnt', 'calcnt', 'errcnt', 'stbcnt')),
        ('tai', ctypes.c_int),
        ('reserved', ctypes.c_int * 11),
    ]


def synchronised(yes):
    """Tells the kernel that its clock is right, as a time service does, or that it is not."""
    libc = ctypes.CDLL(None, use_errno=True)
    now = Timex()
    libc.adjtimex(ctypes.byref(now))
    now.modes, now.maxerror = ADJ_MAXERROR | ADJ_STATUS, 0
    now.status = now.status & ~STA_UNSYNC if yes else now.status | STA_UNSYNC
    assert libc.adjtimex(ctypes.byref(now)) >= 0, ctypes.get_errno()


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def found():
    with urllib.request.urlopen(f'http://127.0.0.1:{PORT}/metrics', timeout=60) as answer:
        page = answer.read().decode()
    return set(re.findall(r'^stack_audit_finding\{check="(\w+)",severity="\w+",subject="([^"]*)"\} 1$', page, re.MULTILINE))


def becomes(finding, there):
    """Whether the finding comes, or goes, in a minute."""
    global failures
    end, now = time.time() + 60, None
    while time.time() < end:
        try:
            now = found()
            if (finding in now) == there:
                break
        except OSError:
            pass
        time.sleep(0.5)
    holds = now is not None and (finding in now) == there
    failures += not holds
    print('ok  ' if holds else 'FAIL', *finding, 'is found' if there else 'is not found', '' if holds else now)


def main():
    run('docker', 'import', '/root/busybox.tar', 'busybox')
    agent = subprocess.Popen(['./stack-exporter', f'--web.listen-address=127.0.0.1:{PORT}'], stderr=subprocess.DEVNULL)
    try:
        synchronised(False)
        becomes(('clock_unsynchronised', 'host'), True)
        synchronised(True)
        becomes(('clock_unsynchronised', 'host'), False)
        synchronised(False)
        for name, options in ('bold', ['--privileged']), ('modest', []):
            done = run('docker', 'run', '-d', '--network=none', f'--name={name}', *options, 'busybox', 'sleep', '600')
            print(done.stderr, end='')
        becomes(('privileged', 'bold'), True)
        becomes(('privileged', 'modest'), False)
        becomes(('memory_unlimited', 'modest'), True)
        run('docker', 'rm', '-f', 'bold', 'modest')
        becomes(('privileged', 'bold'), False)
        becomes(('memory_unlimited', 'modest'), False)
    finally:
        agent.terminate()
        agent.wait()
    print(f'{failures} failures')
    raise SystemExit(failures > 0)


main()
