# shellcheck shell=bash
# Sourced by tests/run and benches/compare: Debian packages, and servers that live as long as the caller.
#
#   install_packages NAME...   installs what is missing, without starting a service
#   require_rust               a Rust toolchain that can build this package, or a message and exit 1
#   start_docker [OPTION...]   a Docker daemon of its own: sets $docker_host, and an image busybox:test to run
#   fetch_cadvisor             cAdvisor 0.38.7 of Debian 11 below target/: sets $cadvisor
#   on_exit COMMAND...         runs COMMAND when the caller ends, last registered first
#
# $scratch is a folder that goes away at the end. It is not below target/, since a socket's path may have 107 bytes only.

scratch=$(mktemp -d "${TMPDIR:-/tmp}/stack-exporter.XXXXXX")
exit_commands=("rm -rf --one-file-system $scratch")

on_exit() { exit_commands+=("$(printf '%q ' "$@")"); }

run_exit_commands() {
  local status=$? i
  set +e
  for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do eval "${exit_commands[i]}"; done
  exit "$status"
}
trap run_exit_commands EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
  echo "error: $*" >&2
  exit 1
}

# Ends one process that we started: asks, waits, and only then kills.
stop_process() {
  local pid=$1 tries
  kill "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 150; tries++)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

# Tries COMMAND until it succeeds, for at most SECONDS.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

install_packages() {
  local missing=() name status=0 policy=/usr/sbin/policy-rc.d
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  ((EUID == 0)) || fail "run as root, or install first: ${missing[*]}"
  echo "installing ${missing[*]}"
  # Debian starts a server as soon as it is installed, unless this file forbids it.
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    on_exit rm -f "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get -q -o DPkg::Lock::Timeout=300 update &&
      apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
  } >"$scratch/apt.log" 2>&1 || status=$?
  ((status == 0)) || { tail -n 20 "$scratch/apt.log" >&2; fail "apt-get could not install ${missing[*]}"; }
}

require_rust() {
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
  [[ -n $have ]] || fail "no cargo found: install Rust $wanted or later"
  [[ $(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1) == "$wanted" ]] ||
    fail "Rust $have is too old: this package needs $wanted or later"
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    fail "the Rust toolchain lacks a component: rustup component add rustfmt clippy"
  fi
}

docker_ready() { docker -H "$docker_host" version; }

start_docker() {
  local root=$scratch/docker
  mkdir -p "$root"
  docker_host=unix://$root/docker.sock
  # Mounts of its own, which end with it; shared, since compose.yml binds the root with rslave.
  # No bridge and no firewall rules: containers have no network, the host's, or another container's.
  unshare --mount sh -c 'mount --make-rshared / && exec dockerd "$@"' sh \
    --host "$docker_host" --data-root "$root/data" --exec-root "$root/exec" --pidfile "$root/dockerd.pid" \
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false "${@:---storage-driver=vfs}" \
    >"$root/log" 2>&1 </dev/null &
  on_exit stop_docker "$!" "$root"
  wait_for 60 docker_ready || { tail -n 20 "$root/log" >&2; fail "the throw-away Docker daemon does not start"; }
  import_busybox
}

stop_docker() {
  local pid=$1 root=$2 containers
  containers=$(docker -H "unix://$root/docker.sock" ps -aq 2>/dev/null)
  [[ -z $containers ]] || xargs docker -H "unix://$root/docker.sock" rm -f <<<"$containers" >/dev/null 2>&1
  stop_process "$pid"
  wait "$pid" 2>/dev/null
}

# An image made of busybox alone, since nothing can be pulled where the tests run.
import_busybox() {
  local root=$scratch/busybox
  mkdir -p "$root/bin"
  cp /bin/busybox "$root/bin/"
  "$root/bin/busybox" --install -s "$root/bin"
  find "$root/bin" -type l -exec ln -sfn busybox {} \;
  tar -C "$root" -c . | docker -H "$docker_host" import - busybox:test >/dev/null
  rm -rf "$root"
}

# apt over another release of Debian, from wherever this machine has its own: sets the array $apt, whose lists and packages are below FOLDER.
# apt's own lists stay as they are.
apt_of() {
  local folder=$1 release=$2 mirror
  mkdir -p "$folder"/{lists/partial,archives/partial,parts}
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sed -n 's/ bookworm$//p' | head -n 1)
  [[ -n $mirror ]] || fail "apt knows no mirror of Debian 12 to ask for packages of $release"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
  apt=(apt-get -q -y -o "Dir::Etc::SourceList=$folder/sources.list" -o "Dir::Etc::SourceParts=$folder/parts"
    -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache::Archives=$folder/archives"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
}

# Debian 12 has no cAdvisor.
fetch_cadvisor() {
  local folder=$PWD/target/cadvisor apt
  cadvisor=$folder/unpacked/usr/bin/cadvisor
  [[ ! -x $cadvisor ]] || return 0
  apt_of "$folder" bullseye
  (cd "$folder" && "${apt[@]}" update && "${apt[@]}" download cadvisor && dpkg-deb -x cadvisor_*.deb unpacked) \
    >"$folder/log" 2>&1 || { tail -n 5 "$folder/log" >&2; fail "cannot fetch Debian 11's cadvisor"; }
}
