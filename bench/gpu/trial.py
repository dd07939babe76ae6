"""The parts of a trial: `trial.py PART` writes what it found to $WORK/parts/PART.json. See README.md."""

from __future__ import annotations

import contextlib
import importlib
import json
import platform
import subprocess
import sys
from importlib import metadata

from noting import OUT, WORK, device, guarded, keep, seconds, sized

PACKAGES = (
    "torch torchvision transformers timm numpy scipy scikit-learn pandas statsmodels triton "
    "opencv-python-headless typer pydantic neurokit2 safetensors nvidia-ml-py embench"
)


def versions():
    found = {}
    for name in PACKAGES.split():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    keep(python=platform.python_version(), packages=found)
    import torch

    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        keep(gpu=card.name, memory_gb=card.total_memory / 2**30)
        keep(cudnn=torch.backends.cudnn.version(), cuda=torch.version.cuda)
    with guarded("embench"):
        import embench
        from embench import registry

        keep(embench_file=embench.__file__)
        keep(plugins={k: registry.list_plugins(k) for k in ("dataset", "encoder", "fusion", "pretrainer")})
    with guarded("energy"):
        from embench.engine import device as machine

        keep(energy_j=machine.energy_j(device()))
    with guarded("doctor"):
        line = [sys.executable, "-c", "from embench.cli import main; main()", "doctor"]
        done = subprocess.run(line, check=False, capture_output=True, text=True)  # noqa: S603  # our own command
        keep(doctor=done.stdout[-3000:] + done.stderr[-500:])


def ceilings():
    import torch

    n = sized(8192, 512)
    with guarded("bf16"):
        a, b = (torch.randn(n, n, device=device(), dtype=torch.bfloat16) for _ in range(2))
        keep(bf16_flops=2 * n**3 / seconds(lambda: a @ b, 20))
    with guarded("fp32"):
        a, b = (torch.randn(n // 2, n // 2, device=device()) for _ in range(2))
        keep(fp32_flops=2 * (n // 2) ** 3 / seconds(lambda: a @ b, 10))
    with guarded("copy"):
        x = torch.randn(1 << sized(30, 20), device=device())
        y = torch.empty_like(x)
        keep(copy_bytes_s=8 * x.numel() / seconds(lambda: y.copy_(x), 10))
    if device() == "cuda":
        with guarded("host_to_gpu"):
            x = torch.randn(1 << 27).pin_memory()
            keep(host_to_gpu_bytes_s=4 * x.numel() / seconds(lambda: x.to("cuda", non_blocking=True), 5))
        with guarded("launch"):
            small = torch.zeros(16, device="cuda")

            def many():
                for _ in range(1000):
                    small.add_(1)

            keep(launch_us=1e3 * seconds(many, 5))


def merge():
    """Writes results.json from the files of the parts, and prints a summary."""
    parts, results = WORK / "parts", {}
    for file in sorted(parts.glob("*.rc")):
        results[file.stem] = json.loads(file.read_text())
    for file in sorted(parts.glob("*.json")):
        with contextlib.suppress(ValueError):
            results.setdefault(file.stem, {})["found"] = json.loads(file.read_text())
    (OUT / "results.json").write_text(json.dumps(results, indent=1))
    print("part               exit  seconds")
    for name, about in sorted(results.items(), key=lambda item: item[1].get("ended_at", 0)):
        print(f"{name:<18} {about.get('exit', '?'):>4} {about.get('seconds', 0):>8}")
    page({name: about.get("found", {}) for name, about in results.items()})
    for name, about in results.items():
        if about.get("exit") not in ("0", None):
            log = parts / f"{name}.log"
            print(f"--- {name} ended with {about['exit']}:", log.read_text()[-700:] if log.is_file() else "")


def page(found):
    """Prints a summary of the results."""
    show(found, "versions", "gpu", "packages")
    show(found, "ceilings")
    for name in ("cnn_tf", "videomae"):
        for batch, line in found.get(name, {}).get("steps", {}).items():
            speed = f"{line['ms']:.2f} ms, {line['rows_s']:.0f} rows/s, MFU {line['mfu']:.1%}"
            print(f"{name} batch {batch}: {speed}, {line['memory_gb']} GB")
        for change, line in found.get(name, {}).get("what_if", {}).items():
            print(f"{name} with {change}: {line['ms']:.2f} ms, MFU {line['mfu']:.1%}")
    show(found, "cnn_tf", "validation", "cross_attn")
    show(found, "videomae", "checkpoint_s")
    show(found, "engine")
    show(found, "compiled")
    for name, line in found.get("syncs", {}).items():
        short = {k: v for k, v in line.items() if k != "longest_us_a_step"} if isinstance(line, dict) else line
        print(f"syncs {name}: {short}")
    for name, line in found.get("repeat", {}).items():
        print(f"repeat {name}: {line}"[:400])
    show(found, "agree")
    show(found, "compare")


def show(found, part, *names):
    """Prints all results of a part, or some of them."""
    for name in names or ("",):
        what = found.get(part, {}).get(name) if name else found.get(part)
        if what:
            print(f"{part} {name}: {json.dumps(what)[:900]}")


WHERE = {
    **dict.fromkeys(("versions", "ceilings", "merge"), "__main__"),
    **dict.fromkeys(("cnn_tf", "videomae", "engine", "syncs", "compiled"), "speed"),
    **dict.fromkeys(("repeat", "agree", "compare"), "predictions"),
}
"""The file in this folder that has each part."""


if __name__ == "__main__":
    getattr(importlib.import_module(WHERE[sys.argv[1]]), sys.argv[1])()
