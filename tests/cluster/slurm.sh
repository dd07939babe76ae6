#!/bin/bash
# A Slurm of one node for tests: `slurm.sh start DIR` or `slurm.sh stop DIR`. DIR gets its configuration, state and
# logs; commands find it by SLURM_CONF=DIR/slurm.conf. Needs root, slurm-wlm and munge.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mkdir -p "$2" && cd "$2" && pwd)
export SLURM_CONF=$dir/slurm.conf

stop() {
    for daemon in slurmd slurmctld munged; do
        if [ -f "$dir/$daemon.pid" ]; then
            kill "$(cat "$dir/$daemon.pid")" 2>/dev/null || true
            rm -f "$dir/$daemon.pid"
        fi
    done
}

start() {
    mkdir -p "$dir/state" "$dir/spool" "$dir/munge"
    chmod 700 "$dir/munge"
    [ -f "$dir/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    # Another free port for each, so that several clusters, or a real one, may share a machine.
    read -r ctld slurmd <<<"$(python3 -c '
import socket
free = [socket.socket() for _ in range(2)]
for each in free: each.bind(("", 0))
print(*(each.getsockname()[1] for each in free))')"
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    sed -e "s|@DIR@|$dir|g; s|@HOST@|$(hostname -s)|g" \
        -e "s|@MEMORY@|$memory|g; s|@CTLD@|$ctld|g; s|@SLURMD@|$slurmd|g" "$here/slurm.conf" >"$SLURM_CONF"
    munged --key-file "$dir/munge/key" --socket "$dir/munge.socket" --pid-file "$dir/munged.pid" \
        --log-file "$dir/munge/log" --seed-file "$dir/munge/seed" --force >/dev/null 2>&1
    chmod 755 "$dir"
    slurmctld -c -L "$dir/slurmctld.log"
    slurmd -L "$dir/slurmd.log"
    for _ in $(seq 60); do
        if sinfo --noheader --states=idle --format=%N 2>/dev/null | grep -q .; then return; fi
        sleep 0.5
    done
    tail -n 20 "$dir"/slurmctld.log "$dir"/slurmd.log >&2
    return 1
}

"$1"
