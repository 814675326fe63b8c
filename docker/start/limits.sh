# shellcheck shell=sh
# Sourced by the start scripts of PostgreSQL and Redis: what their container may use.
#
#   memory_mib   its memory limit, or the host's memory where that is less (MEMORY_MIB overrides)
#   cpus         its CPU limit rounded up, or the host's CPUs where those are fewer (CPUS overrides)

# The number of a file, or of a later one; `max` and cgroup v1's 9223372036854771712 mean that there is no limit.
limit() {
  for file in "$@"; do
    number=$(cut -d' ' -f1 "$file" 2>/dev/null) || continue
    case $number in '' | *[!0-9]* | ???????????????*) continue ;; esac
    echo "$number"
    return
  done
}

memory_mib() {
  [ -z "${MEMORY_MIB:-}" ] || { echo "$MEMORY_MIB"; return; }
  # MemTotal:        2038292 kB
  host=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo) / 1024))
  limit=$(limit /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)
  limit=$((${limit:-0} / 1048576))
  [ "$limit" -gt 0 ] && [ "$limit" -lt "$host" ] && echo "$limit" || echo "$host"
}

cpus() {
  [ -z "${CPUS:-}" ] || { echo "$CPUS"; return; }
  host=$(nproc)
  # v2: `150000 100000`, v1 two files; -1 or `max` is no limit.
  quota=$(limit /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us)
  period=$(cut -d' ' -f2 /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || echo 100000)
  limit=$(((${quota:-0} + period - 1) / period))
  [ "$limit" -gt 0 ] && [ "$limit" -lt "$host" ] && echo "$limit" || echo "$host"
}
