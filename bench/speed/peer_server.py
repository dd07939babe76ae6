"""Runs in torcheeg's environment, and needs nothing of embench: a job a line on stdin, what came of it on stdout."""

import contextlib
import json
import os
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain import CnnTf, Handcrafted  # noqa: E402
from pytorch_lightning.callbacks import Callback  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from torcheeg import transforms  # noqa: E402
from torcheeg.datasets import AMIGOSDataset, DEAPDataset  # noqa: E402
from torcheeg.trainers import ClassifierTrainer  # noqa: E402

LABEL = transforms.Compose([transforms.Select("arousal"), transforms.Binary(5.0)])


class Clock:
    def __enter__(self):
        self.began, self.before = time.perf_counter(), sum(os.times()[:4])
        return self

    def __exit__(self, *_):
        self.found = {"seconds": time.perf_counter() - self.began, "processor": sum(os.times()[:4]) - self.before}


def dataset(kind, folder, cache, window, workers=0):
    common = {"root_path": folder, "io_path": cache, "chunk_size": window, "num_worker": workers, "verbose": False}
    common |= {"online_transform": transforms.ToTensor(), "label_transform": LABEL}
    if kind == "deap":
        return DEAPDataset(num_channel=32, **common)
    return AMIGOSDataset(num_channel=14, skipped_subjects=[], **common)


def prepare(kind, folder, cache, window, workers=0):
    """Windows of all EEG in its database."""
    with Clock() as clock:
        dataset(kind, folder, cache, window, workers)
    return clock.found


def reopen(kind, folder, cache, window):
    with Clock() as clock:
        dataset(kind, folder, cache, window)
    return clock.found


def epoch(kind, folder, cache, window, batch):
    """All windows once, shuffled, as its documentation loads them."""
    loader = DataLoader(dataset(kind, folder, cache, window), batch, shuffle=True)
    count = 0
    with Clock() as clock:
        for x, _ in loader:
            count += len(x.float())
    return {**clock.found, "windows": count}


def entropy(windows, bands, out=None):
    """Differential entropy of windows (n, C, T), window by window, as it is called there; in nats if saved."""
    transform = transforms.BandDifferentialEntropy(sampling_rate=128, band_dict=bands)
    rows = np.load(windows)
    with Clock() as clock:
        found = np.stack([transform(eeg=row)["eeg"] for row in rows])
    if out:
        np.save(out, found * np.log(2))
    return clock.found


class Epochs(Callback):
    """Times the epoch, without what a trainer does before and after."""

    def on_train_epoch_start(self, *_):
        self.clock = Clock().__enter__()

    def on_train_epoch_end(self, *_):
        self.clock.__exit__()


class TwoClasses(nn.Module):
    """torcheeg's trainer wants a score for each class; the other one is zero."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        logit = self.network(x)
        return torch.cat([torch.zeros_like(logit), logit], 1)


def train(network, build, windows, batch):
    """One epoch over windows that lie in memory, by its trainer, without a validation."""
    x = torch.from_numpy(np.load(windows))
    made = {"cnn_tf": CnnTf, "handcrafted": Handcrafted}[network](build, x.shape[1:])
    loader = DataLoader(TensorDataset(x, torch.arange(len(x)) % 2), batch, shuffle=True)
    clock = Epochs()
    trainer = ClassifierTrainer(TwoClasses(made), num_classes=2, verbose=False)
    quiet = {"enable_checkpointing": False, "logger": False, "enable_progress_bar": False}
    trainer.fit(loader, None, 1, callbacks=[clock], enable_model_summary=False, **quiet)
    return clock.clock.found


JOBS = {job.__name__: job for job in (prepare, reopen, epoch, entropy, train)}


def main():
    torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr  # the library prints, too
    names = ("torcheeg", "torch", "numpy", "pytorch-lightning")
    print(json.dumps({name: metadata.version(name) for name in names}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
                found = JOBS[asked.pop("job")](**asked)
        except Exception as error:  # noqa: BLE001  # whatever the library does, the other rows are measured
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
