"""Methods whose training is struck as often as `$STRIKES` says, once the file `$STRIKE_LOG` is there, which gets a
character for each strike."""

import os
import signal
from pathlib import Path

from tests.tiny.plugins import Pool, PoolNetwork


class Struck(PoolNetwork):
    def forward(self, x, mask=None):
        log = Path(os.environ["STRIKE_LOG"])
        if self.training and log.exists() and len(log.read_bytes()) < int(os.environ["STRIKES"]):
            with log.open("ab") as file:
                file.write(b".")
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
