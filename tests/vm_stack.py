"""Run by tests/vm in the emulated host: docker/ as docker-compose 2 and cgroup v2 take it."""

import json
import os
import re
import subprocess
import time

ENV = {**os.environ, 'COMPOSE_PROJECT_NAME': 'stack'}
SERVICES = ['agent', 'app', 'gateway', 'grafana', 'postgres', 'prometheus', 'redis']

failures = 0


def check(what, holds, how=''):
    global failures
    failures += not holds
    print('ok  ' if holds else 'FAIL', what, '' if holds else how)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, env=ENV, **more)


def settings(server, *limits):
    """What docker/start gives a server in a container with these limits."""
    folder = os.path.abspath('docker/start')
    done = run('docker', 'run', '--rm', '--network=none', *limits, '-v', f'{folder}:/etc/stack:ro', 'busybox', '/bin/sh', f'/etc/stack/{server}', '--print')
    return done.stdout + done.stderr


def main():
    compose = ['docker', 'compose', '-f', 'docker/compose.yml']
    version = run('docker', 'compose', 'version', '--short').stdout.strip()
    check('docker-compose 2 is here', version.lstrip('v').startswith('2.'), version)
    check('secrets are made', run('docker/make-secrets').returncode == 0)
    sized = run('docker/size-services')
    check('the memory is shared out', 'POSTGRES_MEMORY=' in sized.stdout, sized.stderr)
    done = run(*compose, 'config', '--format', 'json')
    check('docker-compose 2 takes compose.yml without a word', done.returncode == 0 and not done.stderr, done.stderr)
    check('all services are there', sorted(json.loads(done.stdout or '{}').get('services', {})) == SERVICES)
    done = run('docker', 'stack', 'config', '-c', 'docker/stack.yml')
    check('docker stack config takes stack.yml without a word', done.returncode == 0 and not done.stderr, done.stderr)

    # A shell with the few commands that the scripts need.
    os.makedirs('base/bin', exist_ok=True)
    run('cp', '/bin/busybox', 'base/bin/')
    run('chroot', 'base', '/bin/busybox', '--install', '-s', '/bin')
    tar = subprocess.Popen(['tar', '-C', 'base', '-c', '.'], stdout=subprocess.PIPE)
    run('docker', 'import', '-', 'busybox', stdin=tar.stdout)
    # The memory is that of cgroup v2's memory.max, the CPUs that of cpu.max.
    printed = settings('postgres', '--memory=256m', '--cpus=0.5')
    check('PostgreSQL is sized by memory.max', 'shared_buffers=64MB' in printed, printed)
    check('and by cpu.max', 'max_parallel_workers=1\n' in printed, printed)
    check('Redis is sized by memory.max', settings('redis', '--memory=100m') == 'maxmemory 60mb\n', settings('redis', '--memory=100m'))

    # With its libraries, should it be no static one.
    os.makedirs('image', exist_ok=True)
    libraries = re.findall(r'/\S+', run('ldd', 'stack-exporter').stdout)
    run('cp', '--parents', '-L', *libraries, 'image/')
    run('cp', 'stack-exporter', 'image/')
    tar = subprocess.Popen(['tar', '-C', 'image', '-c', '.'], stdout=subprocess.PIPE)
    run('docker', 'import', '--change', 'ENTRYPOINT ["/stack-exporter"]', '-', 'stack-exporter:0.1.0', stdin=tar.stdout)
    # docker-compose 2 makes the networks of all services; the agent listens at the gateway of Prometheus'.
    done = run(*compose, 'up', '-d', '--no-build', '--no-deps', 'agent')
    check('the agent is started by docker-compose 2', done.returncode == 0, done.stderr)
    health, end = '', time.time() + 90
    while health != 'healthy' and time.time() < end:
        time.sleep(0.5)
        health = run('docker', 'inspect', '--format', '{{.State.Health.Status}}', 'stack-agent-1').stdout.strip()
    check('it is healthy', health == 'healthy', health + run('docker', 'logs', 'stack-agent-1').stderr)
    for address in ('127.0.0.1', '10.213.99.1'):
        page = run('curl', '-sS', f'http://{address}:9100/metrics')
        check(f'its page is at {address}', 'container_last_seen{' in page.stdout and 'name="stack-agent-1"' in page.stdout, page.stderr)
    run(*compose, 'down', '-v')
    print(f'{failures} failures')
    raise SystemExit(failures > 0)


main()
