"""Run by tests/vm in the emulated host: containers under systemd's cgroup driver on v2, beside the kernel and Docker."""

import json
import os

from vm_page import between, cgroup, check, container, dying, kernel, key, proved, run, scrape, values, wait_for


def engine_is_up():
    """Docker's containerd is an engine of its own, which runs on."""
    return values(scrape(), 'container_engine_up', engine='docker')


def io(identity, wanted):
    return sum(float(word[len(wanted) + 1:]) for word in kernel(identity, 'io.stat').split() if word.startswith(wanted + '='))


def limits(web):
    page = scrape()
    inspect = json.loads(run('docker', 'inspect', web))[0]
    host = inspect['HostConfig']

    def spec(family):
        return values(page, family, id=cgroup(web), name='web', image='busybox')

    check('memory limit', spec('container_spec_memory_limit_bytes') == [host['Memory']])
    check('memory reservation', spec('container_spec_memory_reservation_limit_bytes') == [host['MemoryReservation']])
    check('quota', spec('container_spec_cpu_quota') == [host['NanoCpus'] / 1e4])
    check('period', spec('container_spec_cpu_period') == [100000])
    check('limit of threads', spec('container_threads_max') == [host['PidsLimit']])
    # The kernel has a weight, of which many shares are one; the engine knows which they were.
    check('shares', spec('container_spec_cpu_shares') == [host['CpuShares']], kernel(web, 'cpu.weight'))
    started = int(run('date', '+%s', '-d', inspect['State']['StartedAt']))
    check('start', spec('container_start_time_seconds') == [started])
    labels = [have for name, have, _ in page if name == 'container_last_seen' and have['id'] == cgroup(web)]
    check('labels', labels == [{'id': cgroup(web), 'name': 'web', 'image': 'busybox',
                                'container_label_com_docker_compose_service': 'web'}], labels)


def numbers(web):
    path = cgroup(web)
    between('CPU time', path, 'container_cpu_usage_seconds_total', lambda: key(path, 'cpu.stat', 'usage_usec') / 1e6, cpu='total')
    between('periods', path, 'container_cpu_cfs_periods_total', lambda: key(path, 'cpu.stat', 'nr_periods'))
    between('throttled', path, 'container_cpu_cfs_throttled_seconds_total', lambda: key(path, 'cpu.stat', 'throttled_usec') / 1e6)
    between('page faults', path, 'container_memory_failures_total', lambda: key(path, 'memory.stat', 'pgfault'),
            failure_type='pgfault', scope='container')
    between('most memory', path, 'container_memory_max_usage_bytes', lambda: float(kernel(web, 'memory.peak')))
    between('threads', path, 'container_threads', lambda: float(kernel(web, 'pids.current')))
    wait_for('written blocks', lambda: io(web, 'wbytes') >= 1 << 20)
    written = sum(values(scrape(), 'container_fs_writes_bytes_total', id=cgroup(web)))
    check('bytes written', written == io(web, 'wbytes'), written)
    waiting = values(scrape(), 'container_pressure_cpu_waiting_seconds_total', id=cgroup(web))
    check('pressure', len(waiting) == 1 and waiting[0] > 0, waiting)
    # docker stats calls usage what we call the working set.
    stats = json.loads(run('curl', '-s', '--unix-socket', '/var/run/docker.sock', f'http://x/containers/{web}/stats?stream=0&one-shot=1'))
    usage, inactive = stats['memory_stats']['usage'], stats['memory_stats']['stats']['inactive_file']
    ours = values(scrape(), 'container_memory_working_set_bytes', id=cgroup(web))
    check('memory beside docker stats', abs(ours[0] - (usage - inactive)) <= 1 << 20, f'{ours} {usage - inactive}')
    theirs = stats['networks']['eth0']['rx_bytes']
    received = values(scrape(), 'container_network_receive_bytes_total', id=cgroup(web), interface='eth0')
    check('network beside docker stats', len(received) == 1 and received[0] >= theirs, f'{received} {theirs}')


def networks(joined, hosted):
    page = scrape()
    check("another's network is not repeated", not values(page, 'container_network_receive_bytes_total', id=cgroup(joined)))
    check("the host's network is not repeated", not values(page, 'container_network_receive_bytes_total', id=cgroup(hosted)))


def slices():
    page = scrape()
    for unit in ('/', '/system.slice', '/system.slice/redis-server.service', '/init.scope'):
        check(f'CPU time of {unit}', len(values(page, 'container_cpu_usage_seconds_total', id=unit, cpu='total')) == 1)
    check('memory of /', values(page, 'container_memory_usage_bytes', id='/') > [0])
    check('no mount units', not any(have.get('id', '').endswith('.mount') for _, have, _ in page))
    ours = [have for name, have, _ in page if name.startswith(('container_', 'machine_', 'cadvisor_'))]
    check('no empty labels', all(value for have in ours for value in have.values()))
    check('no error', values(page, 'container_scrape_error') == [0] and values(page, 'stack_exporter_collector_success') == [1])


def outage(web):
    run('docker', 'rename', 'web', 'renamed')
    wait_for('the new name', lambda: values(scrape(), 'container_last_seen', id=cgroup(web), name='renamed'))
    run('systemctl', 'kill', '-s', 'STOP', 'docker.service')
    wait_for('the engine to be down', lambda: engine_is_up() == [0])
    found = values(scrape(), 'container_memory_usage_bytes', id=cgroup(web), name='renamed')
    check('numbers and names while the daemon is stopped', len(found) == 1)
    run('systemctl', 'kill', '-s', 'CONT', 'docker.service')
    wait_for('the engine to be up', lambda: engine_is_up() == [1])
    check('the engine came back', engine_is_up() == [1])


def gone(web, before):
    run('docker', 'rm', '-f', 'renamed')
    page = scrape()
    check('a removed container has no series', not any(have.get('id') == cgroup(web) for _, have, _ in page))
    # Files of dead cgroups must not be kept open: they would keep the cgroup.
    wait_for('dying cgroups', lambda: scrape() and dying() <= before + 2, 120)
    check('no cgroup is kept from dying', dying() <= before + 2, f'{before} -> {dying()}')


def image_store():
    """Docker with containerd's store of images, which fresh installs of Docker 29 have and where cAdvisor loses names and labels."""
    os.makedirs('/etc/docker', exist_ok=True)
    with open('/etc/docker/daemon.json', 'w') as file:
        json.dump({'features': {'containerd-snapshotter': True}}, file)
    try:
        run('systemctl', 'restart', 'docker.service')
        check('the store is in use', 'io.containerd.snapshotter' in run('docker', 'info'))
        run('docker', 'import', '/root/busybox.tar', 'busybox')
        stored = container('stored', '--label', 'com.docker.compose.service=stored', command=['sleep', '3600'])
        shown = lambda: [have for name, have, _ in scrape() if name == 'container_last_seen' and have['id'] == cgroup(stored)]
        expected = {'id': cgroup(stored), 'name': 'stored', 'image': 'busybox', 'container_label_com_docker_compose_service': 'stored'}
        wait_for('the name', lambda: shown() == [expected])
        check('name, image and labels are there', shown() == [expected], shown())
        run('docker', 'rm', '-f', 'stored')
    finally:
        os.remove('/etc/docker/daemon.json')
        run('systemctl', 'restart', 'docker.service')


def main():
    before = dying()
    load = 'dd if=/dev/zero of=/x bs=4096 count=512 conv=fsync; while :; do :; done'
    web = container('web', '-m', '64m', '--memory-reservation', '32m', '--cpus', '0.3', '--cpu-shares', '512', '--pids-limit', '77',
                    '--label', 'com.docker.compose.service=web', '--label', 'private=x', command=['sh', '-c', load])
    joined = container('joined', '--network', 'container:web', command=['sleep', '3600'])
    hosted = container('hosted', '--network', 'host', command=['sleep', '3600'])
    wait_for('names', lambda: all(values(scrape(), 'container_last_seen', name=name) for name in ('web', 'joined', 'hosted')))
    limits(web)
    numbers(web)
    networks(joined, hosted)
    slices()
    outage(web)
    run('docker', 'rm', '-f', 'joined', 'hosted')
    gone(web, before)
    image_store()


proved(main)
