#!/usr/bin/env bash
# One trial on a machine with a GPU, at most 9.5 minutes: see README.md. Without a GPU it says what is missing; under
# TINY=1 it then runs at tiny sizes on the CPU, which tries the scripts and measures nothing.
# Results: $OUT/results.json, $OUT/summary.txt, $OUT/log.txt.  SECONDS_IN_ALL=570, ONLY="part part" choose less.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-python3}
MISSING=$("$PYTHON" "$HERE/missing.py") || MISSING="no PyTorch: $PYTHON cannot import torch"
DEVICE=cuda; [ -n "$MISSING" ] && DEVICE=cpu; export DEVICE
if [ -n "$MISSING" ]; then
    echo "no GPU: $MISSING"
    echo "not measured: speed, waits of the host, repeatability, memory and energy of a GPU"
    [ -n "${TINY:-}" ] || { echo "TINY=1 runs the trial at tiny sizes on the CPU, which tries the scripts"; exit 1; }
fi

OUT=${OUT:-$PWD/gpu-trial}; mkdir -p "$OUT"; export OUT
WORK=${WORK:-/tmp/gpu-trial}; rm -rf "$WORK"; mkdir -p "$WORK/parts"; export WORK
ALL=${SECONDS_IN_ALL:-}; LONGER=${LONGER:-}; LOG=$OUT/log.txt; : >"$LOG"
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 EMBENCH_CACHE=$WORK/cache PYTHONDONTWRITEBYTECODE=1 TOKENIZERS_PARALLELISM=false
export HF_HUB_OFFLINE=1
left() { echo $((ALL - SECONDS)); }
# Without a GPU nobody waits for the machine: there is more time for everything.
if [ "$DEVICE" = cuda ]; then : "${ALL:=570}" "${LONGER:=1}"; else : "${ALL:=3600}" "${LONGER:=6}"; fi

# part NAME LIMIT COMMAND..: runs it in the time there is, and notes how it ended.
part() {
    local name=$1 limit=$(($2 * LONGER)) began=$SECONDS rc; shift 2
    [[ -n ${ONLY:-} && " $ONLY setup " != *" $name "* ]] && return 0
    [ "$(left)" -lt 8 ] && { note "$name" skipped 0; return 0; }
    [ "$limit" -gt "$(left)" ] && limit=$(left)
    timeout -k 5 "$limit" "$@" >"$WORK/parts/$name.log" 2>&1; rc=$?
    { echo "===== $name: exit $rc after $((SECONDS - began)) s: $*"; tail -c 60000 "$WORK/parts/$name.log"; } >>"$LOG"
    note "$name" "$rc" $((SECONDS - began))
    return 0
}
note() {
    echo "$1 exit=$2 seconds=$3 at=$SECONDS"
    echo "{\"exit\": \"$2\", \"seconds\": $3, \"ended_at\": $SECONDS}" >"$WORK/parts/$1.rc"
}
beside() { part "$@" & }
finish() {
    "$PYTHON" "$HERE/trial.py" merge >"$OUT/summary.txt" 2>&1
    cat "$OUT/summary.txt"
}
trap finish EXIT

setup() {
    set -e
    # What was packed; where nothing was, the project's own environment has it.
    [ -d "$HERE/whl" ] && "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$WORK/site" "$HERE"/whl/*.whl
    mkdir -p "$WORK/project" "$WORK/data"
    if [ -f "$PWD/benchmark/embench/__init__.py" ]; then ln -sfn "$PWD" "$WORK/project/root"; else
        mkdir -p "$WORK/project/root"; tar xzf "$HERE/project.tar.gz" -C "$WORK/project/root"
    fi
    if [ -f "$HERE/stress_predict.tar.xz" ]; then tar xJf "$HERE/stress_predict.tar.xz" -C "$WORK/data"; fi
}
export -f setup; export PYTHON HERE
part setup 60 bash -c setup
ROOT=$WORK/project/root
export ROOT PYTHONPATH=$ROOT/benchmark:$ROOT/plugins:$ROOT/bench:$WORK/site:$HERE/stub
T="$PYTHON $HERE/trial.py"
CORES=$(env -u OMP_NUM_THREADS nproc); echo "device $DEVICE, $CORES cores"
embench() { "$PYTHON" -c 'import sys; from embench.cli import main; sys.argv[0] = "embench"; sys.exit(main())' "$@"; }
export -f embench
PEOPLE=10; SECS=20; LESS=""
[ "$DEVICE" = cpu ] && { PEOPLE=6; SECS=12; LESS="--set encoder.epochs=1 --set fusion.epochs=1"; }
MAIN="run --dataset amigos --encoder cnn_tf --fusion cross_attn --recipe quick --seeds 0 --data-root $WORK/data $LESS"

part versions 40 $T versions
part synthesize 60 bash -c "embench data synthesize amigos --out $WORK/data/amigos --subjects $PEOPLE --length-s $SECS --effect 1 --seed 0"
part ceilings 30 $T ceilings
# Nothing else runs beside these.
part main_one 90 bash -c "time embench $MAIN --device $DEVICE --workers 1 --runs $WORK/main_one --json"
part cnn_tf 75 $T cnn_tf
part syncs 45 $T syncs
part videomae 60 $T videomae
part main_five 75 bash -c "time embench $MAIN --device $DEVICE --workers 5 --runs $WORK/main_five --json"
part engine 45 $T engine
# These are not timed: several at once.
LINE="--recipe quick --seeds 0 --target arousal --workers 1 --device $DEVICE --data-root $WORK/data $LESS"
together() {
    beside repeat 120 $T repeat
    beside agree 150 $T agree
    beside main_cpu 200 bash -c "embench $MAIN --device cpu --workers $((CORES > 8 ? 5 : 1)) --runs $WORK/main_cpu --json"
    wait_for 3
    while read -r name line; do
        wait_for 6
        beside "run_$name" 110 bash -c "embench run --dataset amigos $line $LINE --runs $WORK/runs_$name --json"
    done <<'R'
late --encoder cnn_tf --fusion late --modalities ecg,eda
concat --encoder cnn_tf --fusion concat --modalities ecg,eda
modality_aware --encoder unet_se --fusion modality_aware --modalities ecg,eeg
signal_transform --encoder tcn --fusion shared_tf --modalities ecg,eda --pretrainer signal_transform --set encoder.view.length_s=10
masked_value --encoder cnn_tf --fusion single --modalities ecg --pretrainer masked_value
cnn_mlp --encoder cnn_mlp --fusion cross_attn --modalities ecg+eda,eeg
svm --encoder handcrafted --fusion svm --modalities ecg,eda
hidden --encoder cnn_tf --fusion logreg --modalities ecg,eda
R
    [ -d "$WORK/data/stress_predict" ] && { wait_for 6; beside run_real 150 bash -c "embench run --dataset stress_predict --encoder cnn_tf --fusion cross_attn --recipe quick --seeds 0 --workers 1 --device $DEVICE --data-root $WORK/data $LESS --runs $WORK/runs_real --json"; }
    [ "$DEVICE" = cuda ] && { wait_for 6; beside tests 200 bash -c "cd $ROOT && $PYTHON -m pytest -q --maxfail=60 --ignore=tests/engine/test_clips.py -n 4 -p no:cacheprovider -m 'not slow' tests/engine tests/plugins/fusions tests/plugins/pretrainers tests/plugins/encoders/test_cnn_tf.py tests/planning"; }
    wait
}
wait_for() { local most=$1; [ "$CORES" -lt 8 ] && most=2; while [ "$(jobs -rp | wc -l)" -ge "$most" ]; do sleep 0.3; done; }
together
part compare 30 $T compare
part compiled 90 $T compiled
