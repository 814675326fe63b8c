"""Run by tests/vm in the emulated host: containers that Docker does not run, beside the kernel: systemd-nspawn, LXC, Podman for root and for a user."""

import os
import subprocess
import time

from vm_page import between, check, key, proved, read_file, run, scrape, values, wait_for

BURN = ['/bin/sh', '-c', 'while :; do :; done']
MEMORY, QUOTA, PERIOD, THREADS = 64 << 20, 30000, 100000, 77
USER = 'tester'


def shown(path):
    """The labels of the series of a cgroup."""
    return [have for name, have, _ in scrape() if name == 'container_last_seen' and have['id'] == path]


def agrees(path, **labels):
    """The page says of the cgroup what the kernel says, under this name."""
    wait_for(f'the name of {path}', lambda: shown(path) == [{'id': path, **labels}])
    check('its name', shown(path) == [{'id': path, **labels}], shown(path))
    check('no other has it', not any(have.get('name') == labels['name'] and have['id'] != path for _, have, _ in scrape()))
    wait_for('the quota to be used up', lambda: key(path, 'cpu.stat', 'nr_throttled') > 0)
    between('CPU time', path, 'container_cpu_usage_seconds_total', lambda: key(path, 'cpu.stat', 'usage_usec') / 1e6, cpu='total')
    between('periods', path, 'container_cpu_cfs_periods_total', lambda: key(path, 'cpu.stat', 'nr_periods'))
    between('throttled periods', path, 'container_cpu_cfs_throttled_periods_total', lambda: key(path, 'cpu.stat', 'nr_throttled'))
    between('throttled', path, 'container_cpu_cfs_throttled_seconds_total', lambda: key(path, 'cpu.stat', 'throttled_usec') / 1e6)
    between('most memory', path, 'container_memory_max_usage_bytes', lambda: float(read_file(path, 'memory.peak')))
    between('threads', path, 'container_threads', lambda: float(read_file(path, 'pids.current')))
    page, used = scrape(), float(read_file(path, 'memory.current'))
    usage = values(page, 'container_memory_usage_bytes', id=path)
    check('memory', len(usage) == 1 and abs(usage[0] - used) <= 1 << 20, f'{usage} {used}')
    for family, file, limit in [('memory_limit_bytes', 'memory.max', MEMORY), ('cpu_quota', 'cpu.max', QUOTA), ('cpu_period', 'cpu.max', PERIOD)]:
        found = values(page, f'container_spec_{family}', id=path)
        check(family, found == [limit] and str(limit) in read_file(path, file).split(), f'{found} {read_file(path, file)}')
    check('limit of threads', values(page, 'container_threads_max', id=path) == [THREADS] == [float(read_file(path, 'pids.max'))])


def network(path, pid, interface):
    """What its first process sees of its own interface, which the host does not have."""
    def received():
        with open(f'/proc/{pid}/net/dev') as text:
            return next(float(line.split()[1]) for line in text if line.split()[0] == f'{interface}:')

    between('its network', path, 'container_network_receive_bytes_total', received, interface=interface)


def gone(path):
    below = lambda: [have['id'] for _, have, _ in scrape() if have.get('id', '').startswith(path)]
    check('its series are gone', wait_for('the end of its series', lambda: not below()), below())


def root(path):
    """A folder with busybox alone."""
    for name in ('usr', 'etc', 'proc', 'sys', 'dev', 'tmp', 'run'):
        os.makedirs(f'{path}/{name}')
    run('tar', '-C', path, '-xf', '/root/busybox.tar')
    return path


def nspawn():
    limits = [f'--property={limit}' for limit in (f'MemoryMax={MEMORY}', f'CPUQuota={QUOTA * 100 // PERIOD}%', f'TasksMax={THREADS}')]
    # What has a dash is written otherwise in the name of its scope.
    command = ['systemd-nspawn', '--quiet', '--machine=web-1', f'--directory={root("/var/lib/machines/web-1")}', '--network-veth', *limits, *BURN]
    with open('nspawn.log', 'w') as log:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    path = '/machine.slice/machine-web\\x2d1.scope'
    try:
        wait_for('the machine', lambda: os.path.exists(f'/sys/fs/cgroup{path}'))
        agrees(path, name='web-1')
        network(path, run('machinectl', 'show', '--property=Leader', '--value', 'web-1'), 'host0')
        run('machinectl', 'terminate', 'web-1')
        machine.wait(60)
    finally:
        machine.kill()
    gone(path)


def lxc():
    settings = {
        'lxc.uts.name': 'web', 'lxc.rootfs.path': f'dir:{root("/var/lib/lxc/web/rootfs")}', 'lxc.mount.auto': 'proc sys',
        # The kernel has AppArmor, and nobody loaded LXC's profiles.
        'lxc.apparmor.profile': 'unconfined', 'lxc.net.0.type': 'veth', 'lxc.net.0.flags': 'up',
        'lxc.cgroup2.memory.max': MEMORY, 'lxc.cgroup2.cpu.max': f'{QUOTA} {PERIOD}', 'lxc.cgroup2.pids.max': THREADS,
    }
    with open('/var/lib/lxc/web/config', 'w') as file:
        file.writelines(f'{key} = {value}\n' for key, value in settings.items())
    run('lxc-start', '--name=web', '--daemon', '--logfile=lxc.log', '--', *BURN)
    path = '/lxc.payload.web'
    agrees(path, name='web')
    network(path, run('lxc-info', '--name=web', '--no-humanize', '--pid'), 'eth0')
    check('its monitor has no name', [list(have) for have in shown('/lxc.monitor.web')] == [['id']])
    run('lxc-stop', '--name=web', '--kill')
    gone(path)


def podman(slice_of_it, prefix=()):
    """Under crun, whose containers are in a cgroup below their scope, which has the same limits."""
    call = lambda *command: run(*prefix, 'podman', *command)
    call('import', '/tmp/busybox.tar', 'busybox:test')
    limits = [f'--memory={MEMORY}', f'--cpus={QUOTA / PERIOD}', f'--pids-limit={THREADS}']
    path = f'{slice_of_it}/libpod-{call("run", "--detach", "--network=none", "--name=web", *limits, "busybox:test", *BURN)}.scope'
    check('crun has a cgroup below', read_file(f'{path}/container', 'cpu.max') == f'{QUOTA} {PERIOD}')
    agrees(path, name='web', image='localhost/busybox:test')
    part = f'{path}/container'
    check('which is not shown', not shown(part))
    with open(f'/sys/fs/cgroup{path}/cpu.max', 'w') as file:
        file.write('max')
    between('periods of a quota below', path, 'container_cpu_cfs_periods_total', lambda: key(part, 'cpu.stat', 'nr_periods'))
    between('throttled below', path, 'container_cpu_cfs_throttled_seconds_total', lambda: key(part, 'cpu.stat', 'throttled_usec') / 1e6)
    check('its state', wait_for('its state', lambda: values(scrape(), 'container_state', name='web', id=path, state='running') == [1]))
    call('stop', '--time=0', 'web')
    wait_for('its end', lambda: values(scrape(), 'container_exit_code', name='web') == [137])
    check('it is known beyond its end', values(scrape(), 'container_state', name='web', state='exited') == [1])
    call('rm', 'web')
    gone(path)


def podman_of_root():
    run('systemctl', 'start', 'podman.socket')
    podman('/machine.slice')


def podman_of_user():
    run('useradd', '--create-home', USER)
    identity = run('id', '--user', USER)
    run('loginctl', 'enable-linger', USER)
    folder = f'/run/user/{identity}'
    wait_for("the user's services", lambda: os.path.exists(f'{folder}/systemd/private'))
    bus = [f'HOME=/home/{USER}', f'XDG_RUNTIME_DIR={folder}', f'DBUS_SESSION_BUS_ADDRESS=unix:path={folder}/bus']
    prefix = ('runuser', f'--user={USER}', '--', 'env', '--chdir=/', *bus)
    run(*prefix, 'systemctl', '--user', 'start', 'podman.socket')
    podman(f'/user.slice/user-{identity}.slice/user@{identity}.service/user.slice', prefix)


def main():
    # Laid over the host as it runs, since it has no way to install them.
    run('tar', '-C', '/', '-xf', 'machines.tar')
    run('ldconfig')
    run('systemctl', 'daemon-reload')
    run('systemctl', 'reload', 'dbus')
    # Where users may read it as well.
    run('cp', '/root/busybox.tar', '/tmp/')
    for part in (nspawn, lxc, podman_of_root, podman_of_user):
        start = time.time()
        print(f'    {part.__name__}:', flush=True)
        part()
        print(f'    {time.time() - start:.0f} s', flush=True)


proved(main)
