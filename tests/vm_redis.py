"""Run by tests/vm in the emulated host: Debian 13's Redis 8.0 found without a setting, and its page beside Debian's redis_exporter."""

import re
import subprocess
import sys
import time
import urllib.request

FOUND, OURS, THEIRS = 19200, 19201, 19202
SERVER = 'redis://127.0.0.1:6379'
# Memory moves with the asking of two programs itself.
FLOOR = 97
# So do percentiles of the few commands that they ask: each is another one at the next scrape.
MOVING = '^redis_latency_percentiles_usec$'

# What tells of the exporter and not of the server, what two programs that ask at different moments cannot agree on, and a mistake of
# redis_exporter: it takes the fourth item of the keyspace, which is subexpiry on Redis 7.4 and later, for cached keys.
ASIDE = '^(redis_exporter_|redis_db_keys_cached$|redis_start_time_seconds|redis_connected_clients$|redis_instance_info$)'


def scrape(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=60) as answer:
        return answer.read().decode()


def wait_for(what, done):
    end = time.time() + 120
    while time.time() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit(f'FAIL waited in vain for {what}')


def client(*words):
    return subprocess.run(['redis-cli', *words], capture_output=True, text=True).stdout.strip()


def main():
    subprocess.run(['systemctl', 'start', 'redis-server'], check=True)
    wait_for('redis-server', lambda: client('PING') == 'PONG')
    for key in range(200):
        client('SET', f'key{key}', 'value', *(['EX', '1000'] if key % 2 else []))
    client('LPUSH', 'key1', 'x')
    only = ['--no-host', '--no-containers', '--no-postgres']
    commands = [
        ['./stack-exporter', f'--web.listen-address=127.0.0.1:{FOUND}', *only],
        ['./stack-exporter', f'--web.listen-address=127.0.0.1:{OURS}', f'--redis.addr={SERVER}', *only],
        ['prometheus-redis-exporter', '-redis-only-metrics', f'-web.listen-address=127.0.0.1:{THEIRS}', f'-redis.addr={SERVER}'],
    ]
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    failed = False

    def check(ok, what):
        nonlocal failed
        failed = failed or not ok
        print('ok  ' if ok else 'FAIL', what)

    try:
        wait_for('the server to be found', lambda: 'redis_up{target="127.0.0.1:6379"} 1\n' in scrape(FOUND))
        check(scrape(FOUND).count('\nredis_up{') == 1, 'found once, though it may listen on a socket too')
        for port in (OURS, THEIRS):
            wait_for(f'port {port}', lambda port=port: '\nredis_up 1\n' in scrape(port))
            scrape(port)
        page = scrape(OURS)
        open('redis-ours.txt', 'w').write(page)
        open('redis-theirs.txt', 'w').write(scrape(THEIRS))
        version = re.search(r'redis_version:(\S+)', client('INFO', 'server')).group(1)
        check(f'redis_version="{version}"' in page, f'Redis {version}')
        check('\nredis_db_keys{db="db0"} 200\n' in page and '\nredis_db_keys_expiring{db="db0"}' in page, 'its keys')
        check('redis_exporter_last_scrape_error{err=""} 0\n' in page, 'nothing failed')
        urls = [f'http://127.0.0.1:{port}/metrics' for port in (THEIRS, OURS)]
        parity = [sys.executable, 'parity.py', '--max', '1000', '--skip', ASIDE]
        for what, arguments in (
            ('every series of redis_exporter, with its type', ['--no-values', *urls]),
            (f'at least {FLOOR} % with its value', ['--skip', MOVING, '--bracket', '--tol', '0.05', '--floor', str(FLOOR), *urls]),
        ):
            result = subprocess.run([*parity, *arguments], capture_output=True, text=True)
            open('redis-parity.txt', 'a').write(result.stdout + result.stderr)
            check(result.returncode == 0, f'{what}: {result.stdout.splitlines()[-1]}')
    finally:
        for child in children:
            child.terminate()
            child.wait()
    return failed


sys.exit(main())
