"""Run by tests/vm in the emulated host: Debian 13's PostgreSQL 17 and a standby of it, beside that release's postgres_exporter 0.17."""

import os
import re
import subprocess
import sys
import time
import urllib.request

OURS, THEIRS = 19210, 19211
# Of the series there: those that are here with equal type and labels, and those whose value agrees too. Two programs that ask one
# server each move what the other counts.
SERIES_FLOOR, VALUES_FLOOR = 99, 95
BINARIES = '/usr/lib/postgresql/17/bin'
STANDBY = '/var/tmp/standby'
# A collector that has another name since 0.20.
RENAMED = {'replication_slot': 'replication_slots'}
# Of 0.12 to 0.19.
COMPAT = '--postgres.compat=0.15'
ONLY = ['--no-host', '--no-containers', '--no-redis']
# However long it takes an emulated CPU.
PATIENT = ['--postgres.slow-budget=60s', '--postgres.timeout=60s', '--postgres.connect-timeout=20s']
# What tells of the exporter and not of the server, the names of its collectors among it; and three families of slots, which have the label slot_type from 0.16 on, while the names
# of 0.15 are without it.
ASIDE = '^(go_|process_|promhttp_|postgres_exporter_|pg_exporter_|pg_scrape_collector_|pg_replication_slot_slot_)'

failures = 0


def check(what, holds, how=''):
    global failures
    failures += not holds
    print('ok  ' if holds else 'FAIL', what, how, flush=True)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f'FAIL {command}: {done.stderr}')
    return done.stdout.strip()


def as_owner(*command):
    return run('runuser', '-u', 'postgres', '--', *command, cwd='/')


def sql(database, statements, port=5432):
    return as_owner('psql', '-p', str(port), '-Atq', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', statements)


def wait_for(what, done, limit=120):
    end = time.time() + limit
    while time.time() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit(f'FAIL waited in vain for {what}')


def scrape(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=120) as answer:
        return answer.read().decode()


def furnish():
    """Something for every collector, and a standby that streams."""
    for setting in ("shared_preload_libraries = 'pg_stat_statements'", "wal_level = 'logical'", "max_slot_wal_keep_size = '1GB'",
                    "track_io_timing = on"):
        sql('postgres', f'ALTER SYSTEM SET {setting}')
    run('systemctl', 'restart', 'postgresql@17-main')
    sql('postgres', "CREATE ROLE monitor LOGIN SUPERUSER REPLICATION PASSWORD 'secret'")
    for name in ('shop', 'odd "name"', 'empty'):
        sql('postgres', 'CREATE DATABASE "{}"'.format(name.replace('"', '""')))
    sql('postgres', "CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache; CREATE TABLE orders (id int PRIMARY KEY, "
        "note text); INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i; DELETE FROM orders WHERE id % 10 = 0; "
        "ANALYZE orders; CREATE TABLE \"odd \"\"name\" (a int); SELECT count(*) FROM orders")
    sql('postgres', 'VACUUM orders')
    sql('postgres', "SELECT pg_create_physical_replication_slot('standby', true)")
    sql('postgres', "SELECT pg_create_logical_replication_slot('logical', 'test_decoding')")
    as_owner(f'{BINARIES}/pg_basebackup', '-D', STANDBY, '-R', '-S', 'standby', '-X', 'stream', '-c', 'fast', '-d',
             'host=127.0.0.1 user=monitor password=secret')
    for name in ('hba', 'ident'):
        run('cp', f'/etc/postgresql/17/main/pg_{name}.conf', f'{STANDBY}/')
    with open(f'{STANDBY}/postgresql.conf', 'w') as file:
        file.write('port = 5433\nhot_standby = on\n')
    run('chown', '-R', 'postgres:', STANDBY)
    as_owner(f'{BINARIES}/pg_ctl', '-D', STANDBY, '-w', '-t', '120', '-l', f'{STANDBY}/log', 'start')
    wait_for('the standby to stream', lambda: sql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL") == '1')


def collectors():
    """Those that postgres_exporter of this release knows, by its own help."""
    text = subprocess.run(['prometheus-postgres-exporter', '--help'], capture_output=True, text=True)
    return sorted(set(re.findall(r'--(?:\[no-\])?collector\.([a-z_]+)\s', text.stdout + text.stderr)))


def compare(server, port, which, every):
    """One page of each, with the same flags, on the same server."""
    source = {**os.environ, 'DATA_SOURCE_NAME': f'postgresql://monitor:secret@127.0.0.1:{port}/postgres?sslmode=disable'}
    commands = [
        ['./stack-exporter', f'--web.listen-address=127.0.0.1:{OURS}', COMPAT, *ONLY, *PATIENT, *(f'--postgres.collector.{RENAMED.get(name, name)}' for name in every)],
        ['prometheus-postgres-exporter', f'--web.listen-address=127.0.0.1:{THEIRS}', *(f'--collector.{name}' for name in every)],
    ]
    logs = [open(f'postgres-{server}-{name}.log', 'w') for name in ('ours', 'theirs')]
    children = [subprocess.Popen(command, stdout=log, stderr=log, env=source) for command, log in zip(commands, logs)]
    what = f'{server}, {which} collectors'
    try:
        for listening in (OURS, THEIRS):
            wait_for(f'port {listening} ({what})', lambda listening=listening: re.search(r'^pg_up(\{.*\})? 1$', scrape(listening), re.M))
        # One scrape for each of the databases that are visited one after the other: after them no session of ours in another database is
        # among those that are counted.
        for _ in range(5):
            scrape(OURS)
        files = [f'postgres-{server}-{which}-{name}.txt' for name in ('before', 'ours', 'after')]
        for file, listening in zip(files, (THEIRS, OURS, THEIRS)):
            with open(file, 'w') as out:
                out.write(scrape(listening))
        before, ours, after = files
        for is_about, floor, options in (('with its type and labels', SERIES_FLOOR, ['--no-values']), ('and its value', VALUES_FLOOR, ['--tol', '0.05'])):
            done = subprocess.run([sys.executable, 'parity.py', '--max', '1000', '--skip', ASIDE, '--floor', str(floor), *options, before, ours, after],
                                  capture_output=True, text=True)
            with open(f'postgres-{server}-{which}-parity.txt', 'a') as out:
                out.write(f'{is_about}\n{done.stdout}{done.stderr}\n')
            check(f'{what}: at least {floor} % of the series {is_about}', done.returncode == 0, (done.stdout.splitlines() or [done.stderr])[-1])
            # What differs, to be looked through. Known are: each counts the other's session as idle and its own as active, sets its own
            # extra_float_digits, and has statements of its own that the other finds in pg_stat_statements a moment later; the other sees
            # transactions of its own, and takes every flushed position of a standby for 1.
            print(*(f'      {line.strip()}' for line in done.stdout.split('only in the candidate')[0].splitlines()[:-1] if line), sep='\n')
    finally:
        for child in children:
            child.terminate()
            child.wait()


def main():
    wait_for('PostgreSQL', lambda: subprocess.run(['pg_isready'], capture_output=True).returncode == 0)
    version = subprocess.run(['prometheus-postgres-exporter', '--version'], capture_output=True, text=True)
    print((version.stdout + version.stderr).splitlines()[0], 'beside', sql('postgres', 'SHOW server_version'))
    furnish()
    every = collectors()
    check('its collectors are known', len(every) > 15, every)
    for server, port in (('primary', 5432), ('standby', 5433)):
        compare(server, port, 'default', [])
        compare(server, port, 'all', every)
    as_owner(f'{BINARIES}/pg_ctl', '-D', STANDBY, '-m', 'immediate', 'stop')
    return failures > 0


sys.exit(main())
