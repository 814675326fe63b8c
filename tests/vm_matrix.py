"""Run by tests/vm in the emulated host: containers in every state under systemd's cgroup driver on v2, beside `docker inspect`."""

import http.client
import json
import os
import socket
import threading
import time

from vm_page import cgroup, check, container, dying, kernel, proved, run, scrape, values, wait_for

STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']
HEALTH = ['none', 'starting', 'healthy', 'unhealthy']
# Takes memory until it is killed.
HOG = 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done'
# What may break a label: the page's own signs, ends of lines that only Unicode knows, an empty value, keys that become one name.
VALUE = 'quo"te\\ new\nline é 🐳 \u2028 {a="b"} 1'
STORM = {'a.b': '', 'a-b': VALUE, 'a_b': 'third', 'ключ': VALUE, '0': 'é' * 5000, **{f'storm.{number}': VALUE for number in range(40)}}


def inspect(name):
    return json.loads(run('docker', 'inspect', name))[0]


def differences(page, name):
    """Where the page differs from `docker inspect`; empty where all is the same."""
    told, wrong = inspect(name), []
    state, config = told['State'], told['HostConfig']

    def same(family, expected, **labels):
        found = values(page, family, name=name, image='busybox', **labels)
        if found != expected:
            wrong.append(f'{family}{labels}: {found} instead of {expected}')

    for word in STATES:
        same('container_state', [state['Status'] == word], state=word)
    health = state.get('Health', {}).get('Status', 'none')
    for word in HEALTH if health != 'none' else ['none']:
        same('container_health_status', [health == word], status=word)
    if health in ('healthy', 'unhealthy', 'starting'):
        same('container_health_state', [health == 'healthy'] if state['Running'] else [])
        same('container_health_failing_streak', [state['Health']['FailingStreak']])
    same('container_restart_count', [told['RestartCount']])
    ended = not state['FinishedAt'].startswith('0001')
    if ended or state['Status'] not in ('running', 'paused'):
        same('container_exit_code', [state['ExitCode']] if ended and not state['Running'] else values(page, 'container_exit_code', name=name))
    if ended:
        same('container_finish_time_seconds', [int(run('date', '+%s', '-d', state['FinishedAt']))])
    same('container_info', [1], container_id=told['Id'], image_id=told['Image'], restart_policy=config['RestartPolicy']['Name'] or 'no')
    log = {key.replace('-', '_'): value for key, value in config['LogConfig']['Config'].items()}
    same('container_log_rotation_info', [1], driver=config['LogConfig']['Type'], **log)
    return wrong


def agrees(what, *names):
    """Scrapes until the page says of all these containers what the engine says."""
    end = time.time() + 60
    wrong = ['not asked']
    while wrong and time.time() < end:
        page = scrape()
        wrong = [text for name in names for text in differences(page, name)]
    check(f'{what} as docker inspect says', not wrong, wrong)
    return page


def states():
    made = ['plain', 'paused', 'exited', 'looped', 'created']
    container('plain', '--restart', 'unless-stopped', '--log-opt', 'max-size=10m', '--log-opt', 'max-file=3', command=['sleep', '3600'])
    container('paused', '--log-driver', 'local', command=['sleep', '3600'])
    container('exited', '--log-driver', 'none', command=['sh', '-c', 'exit 7'])
    container('looped', '--restart', 'on-failure:2', command=['sh', '-c', 'sleep 1; exit 3'])
    run('docker', 'create', '--name', 'created', 'busybox', 'sleep', '3600')
    run('docker', 'pause', 'paused')
    wait_for('the last restart', lambda: inspect('looped')['State']['Status'] == 'exited' and inspect('looped')['RestartCount'] == 2)
    page = agrees('states', *made)
    codes = [values(page, 'container_exit_code', name=name) for name in ('exited', 'looped')]
    check('exit codes', codes == [[7], [3]], codes)
    check('restarts', values(page, 'container_restart_count', name='looped') == [2])
    counts = {state: len(run('docker', 'ps', '-aq', '--filter', f'status={state}').split()) for state in STATES}
    found = {state: values(page, 'docker_containers', state=state, engine='docker') for state in STATES}
    check('containers by state as docker ps says', found == {state: [count] for state, count in counts.items()}, f'{found} {counts}')
    # While it is watched: every change of state.
    run('docker', 'unpause', 'paused')
    run('docker', 'stop', '-t', '0', 'plain')
    run('docker', 'start', 'created')
    page = agrees('new states', *made)
    check('a killed one', values(page, 'container_exit_code', name='plain') == [137])
    run('docker', 'start', 'plain')
    agrees('a second run', 'plain')
    run('docker', 'rm', '-f', *made)
    wait_for('removed containers to be gone', lambda: not any(have.get('name') in made for _, have, _ in scrape()))


def health():
    container('checked', '--health-cmd', 'cat /well', '--health-interval', '1s', '--health-timeout', '60s', '--health-retries', '2',
              command=['sleep', '3600'])
    is_shown = lambda word: values(scrape(), 'container_health_status', name='checked', status=word) == [1]
    check('unhealthy is shown', wait_for('unhealthy', lambda: is_shown('unhealthy')))
    check('as a state', values(scrape(), 'container_health_state', name='checked') == [0])
    run('docker', 'exec', 'checked', 'sh', '-c', 'echo > /well')
    check('healthy is shown', wait_for('healthy', lambda: is_shown('healthy')))
    page = agrees('health', 'checked')
    check('as a state of its own', values(page, 'container_health_state', name='checked') == [1])
    run('docker', 'rm', '-f', 'checked')


def kills():
    """Kills for want of memory, over restarts and beyond the container."""
    ooms = lambda: values(scrape(), 'container_oom_events_total', name='hog')
    hog = container('hog', '-m', '16m', '--restart', 'on-failure:2', command=['sh', '-c', HOG])
    wait_for('three ends', lambda: inspect('hog')['State']['Status'] == 'exited' and inspect('hog')['RestartCount'] == 2, 120)
    check('docker says so too', inspect('hog')['State']['OOMKilled'])
    check('each run is counted', wait_for('three kills', lambda: ooms() == [3]), ooms())
    agrees('a killed container', 'hog')
    run('docker', 'start', 'hog')
    wait_for('three more', lambda: inspect('hog')['State']['Status'] == 'exited' and ooms() == [6], 120)
    check('after another start', ooms() == [6], ooms())
    run('docker', 'rm', '-f', hog)
    survivor = f"while :; do sh -c '{HOG}'; sleep 3600; done"
    hog = container('hog', '-m', '16m', command=['sh', '-c', survivor])
    check('made anew, it is counted on', wait_for('the seventh', lambda: ooms() == [7]), ooms())
    counted = [line for line in kernel(hog, 'memory.events').splitlines() if line.startswith('oom_kill ')]
    check('the kernel counts its run alone', counted == ['oom_kill 1'], counted)
    run('docker', 'rm', '-f', hog)


def storm():
    labels = [option for key, value in STORM.items() for option in ('--label', f'{key}={value}')]
    identity = container('storm', *labels, command=['sleep', '3600'])
    wait_for('the name', lambda: values(scrape(), 'container_last_seen', name='storm'))
    shown = [have for name, have, _ in scrape() if name == 'container_last_seen' and have.get('name') == 'storm']
    expected = {f'container_label_storm_{number}': VALUE for number in range(40)}
    expected |= {'id': cgroup(identity), 'name': 'storm', 'image': 'busybox'}
    # Of keys that become one name the first that is not empty; a long value is cut.
    expected |= {'container_label_a_b': VALUE, 'container_label_____': VALUE, 'container_label_0': 'é' * 512}
    check('a storm of labels is shown whole, and once', shown == [expected], set(expected.items()) ^ set((shown or [{}])[0].items()))
    run('docker', 'rm', '-f', 'storm')


def bridge():
    """A known number of bytes between two containers on a network of their own, and the host's side of it."""
    run('docker', 'network', 'create', '-o', 'com.docker.network.bridge.name=br-matrix', 'matrix')
    serve = 'dd if=/dev/zero of=/file bs=65536 count=32; exec httpd -f -h /'
    server = container('server', '--network', 'matrix', command=['sh', '-c', serve])
    address = inspect('server')['NetworkSettings']['Networks']['matrix']['IPAddress']
    fetch = f'until wget -q -O /got http://{address}/file; do sleep 1; done; exec sleep 3600'
    client = container('client', '--network', 'matrix', command=['sh', '-c', fetch])
    bytes_of = lambda way, identity: sum(values(scrape(), f'container_network_{way}_bytes_total', id=cgroup(identity), interface='eth0'))
    check('2 MiB came by the bridge', wait_for('the file', lambda: 2 << 20 <= bytes_of('receive', client) < 3 << 20), bytes_of('receive', client))
    check('and were sent by it', 2 << 20 <= bytes_of('transmit', server) < 3 << 20, bytes_of('transmit', server))
    run('curl', '-s', '-o', '/dev/null', f'http://{address}/file')
    host = values(scrape(), 'container_network_receive_bytes_total', id='/', interface='br-matrix')
    check("what the host fetched came by the host's side of it", len(host) == 1 and 2 << 20 <= host[0] < 3 << 20, host)
    run('docker', 'rm', '-f', 'server', 'client')
    run('docker', 'network', 'rm', 'matrix')


def disk():
    """Sizes as they grow: a log with its rotated files, a volume, an image."""
    line = 'echo a line of a log of a container that says a little more than most of them would'
    say = f'i=0; while [ $i -lt 400 ]; do {line} $i; i=$((i+1)); done; dd if=/dev/zero of=/data/file bs=4096 count=256; exec sleep 3600'
    logged = container('logged', '--log-opt', 'max-size=20k', '--log-opt', 'max-file=3', '-v', 'data:/data', command=['sh', '-c', say])
    folder = os.path.dirname(inspect('logged')['LogPath'])
    lengths = lambda: sum(os.path.getsize(f'{folder}/{file}') for file in os.listdir(folder) if '.log' in file)
    size = lambda: values(scrape(), 'container_log_size_bytes', name='logged')
    wait_for('the end of what it says', lambda: run('docker', 'top', 'logged').count('sleep 3600') == 1)
    check('the log with its rotated files', wait_for('its size', lambda: size() == [lengths()], 120), f'{size()} {lengths()}')
    before = lengths()
    run('docker', 'exec', 'logged', 'sh', '-c', 'echo grown > /proc/1/fd/1')
    check('it grows', wait_for('its growth', lambda: lengths() > before and size() == [lengths()]), f'{before} {size()} {lengths()}')
    mount = inspect('logged')['Mounts'][0]['Source']
    used = lambda: [int(run('du', '-sx', '--block-size=1', mount).split()[0])]
    volume = lambda: values(scrape(), 'docker_volume_size_bytes', volume='data', driver='local')
    check('the volume as du says', wait_for('its size', lambda: volume() == used() and used()[0] >= 1 << 20), f'{volume()} {used()}')
    image = json.loads(run('docker', 'image', 'inspect', 'busybox'))[0]
    found = values(scrape(), 'docker_image_size_bytes', image='busybox:latest', image_id=image['Id'])
    check('the image as docker says', found == [image['Size']], f'{found} {image["Size"]}')
    layer = values(scrape(), 'container_writable_layer_size_bytes', id=cgroup(logged))
    upper = int(run('du', '-sx', '--block-size=1', inspect('logged')['GraphDriver']['Data']['UpperDir']).split()[0])
    check('the layer as du says', layer == [upper], f'{layer} {upper}')
    run('docker', 'rm', '-f', 'logged')
    run('docker', 'volume', 'rm', 'data')


class Engine(http.client.HTTPConnection):
    """Docker's API itself: its client takes longer to start than a container."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect('/run/docker.sock')


def ask(method, path, body=None):
    engine = Engine('engine')
    engine.request(method, path, json.dumps(body) if body else None, {'Content-Type': 'application/json'} if body else {})
    answer = engine.getresponse()
    data = answer.read()
    engine.close()
    if answer.status >= 400:
        raise RuntimeError(f'{method} {path}: {answer.status} {data[:200]}')
    return json.loads(data) if data.strip() else None


def churn(count=24, workers=2):
    """Containers come and go while the page is asked for: none has another's name, and no cgroup is kept from dying."""
    names, wrong, before = {}, set(), settled()

    def come_and_go(worker):
        for number in range(count // workers):
            name = f'churn-{worker}-{number}'
            made = ask('POST', f'/containers/create?name={name}', {'Image': 'busybox', 'Cmd': ['sleep', '60'], 'HostConfig': {'NetworkMode': 'none'}})
            names[made['Id']] = name
            ask('POST', f"/containers/{made['Id']}/start")
            ask('DELETE', f"/containers/{made['Id']}?force=true")

    threads = [threading.Thread(target=come_and_go, args=(worker,)) for worker in range(workers)]
    start = time.time()
    for thread in threads:
        thread.start()
    scrapes = 0
    while any(thread.is_alive() for thread in threads):
        page, seen = scrape(), set()
        scrapes += 1
        # What starts the containers has the same two slow CPUs.
        time.sleep(1)
        for family, have, _ in page:
            series = (family, *sorted(have.items()))
            if series in seen:
                wrong.add(f'twice: {series}')
            seen.add(series)
            identity = have.get('id', '')[len(cgroup('')) - len('.scope'):-len('.scope')]
            if have.get('name', names.get(identity)) != names.get(identity, have.get('name')):
                wrong.add(f'of another name: {series}')
    check(f'{len(names)} came and went in {time.time() - start:.0f} s beside {scrapes} scrapes', len(names) == count and scrapes > workers)
    check('every name is right, every series comes once', not wrong, sorted(wrong)[:5])
    check('their series are gone', wait_for('no series', lambda: not any(have.get('name', '').startswith('churn-') for _, have, _ in scrape())))
    check('no cgroup is kept from dying', wait_for('dying cgroups', lambda: settled() <= before, 120), f'{before} -> {settled()}')


def settled():
    """The dying cgroups, without those that only the page cache still charges."""
    scrape()
    with open('/proc/sys/vm/drop_caches', 'w') as file:
        file.write('3')
    return dying()


def main():
    for part in (states, health, kills, storm, bridge, disk, churn):
        start = time.time()
        part()
        print(f'    {part.__name__}: {time.time() - start:.0f} s', flush=True)


# Volumes are listed when the engine is found, and then every few minutes.
run('docker', 'volume', 'create', 'data')
proved(main, '--containers.labels=all', '--containers.disk-interval=1s')
