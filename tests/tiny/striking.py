"""Methods whose training is struck as often as `$STRIKES` says, once the file `$STRIKE_LOG` is there, which gets a
character for each strike."""

import fcntl
import os
import signal
from pathlib import Path

from tests.tiny.plugins import Pool, PoolNetwork


def count_strike(log):
    """Add a strike to the log unless there were enough: under a lock, as two workers may come at once."""
    with log.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if due := len(file.read()) < int(os.environ["STRIKES"]):
            file.write(b".")
    return due


class Struck(PoolNetwork):
    def forward(self, x, mask=None):
        log = Path(os.environ["STRIKE_LOG"])
        if self.training and log.exists() and count_strike(log):
            self.strike()
        return super().forward(x, mask)


class Killed(Struck):
    def strike(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Starved(Struck):
    def strike(self):
        raise MemoryError


class Broken(Struck):
    def strike(self):
        raise ZeroDivisionError


class Killing(Pool):
    network = Killed

    def build(self, spec):
        return self.network(spec.shape[0], int(self.recipe.build["dim"]))


class Starving(Killing):
    network = Starved


class Breaking(Killing):
    network = Broken
