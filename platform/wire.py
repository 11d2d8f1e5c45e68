"""Messages: one small header that is checked, one body of raw arrays. No pickle.

frame 0   b"VELDT1" + JSON {"header": {"kind": ..., ...}, "arrays": [[name, dtype, shape]...]}
frame 1   the arrays one after another, each beginning at a multiple of 64 bytes; not there where
          they lie in a slot of memory that both ends share
frame 2   the last array, where it is so large that it is sent as it lies in memory: "apart"

actor -> learner                                learner -> actor
hello      run, actor, incarnation              welcome   settings, learner, learners
ready      actor, incarnation, version          work      number, version, fresh, slot (+ weights)
delivery   ... number, episodes, more (+ T)     work, if `more`
fault      ... reason, traceback                stop
ask        ... number, version, step (+ seen)   answer    (+ actions)

a host of actors -> learner               learner -> a host of actors
join       host, version, count (, run)   joined    run, settings, actors
expect     actor, incarnation             heard     delivered, waiting
beat                                      heard     delivered, waiting
leave                                     refusal   reason
                                          stop
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.errors import CodeError, Diverged, EnvironmentFault, RunFailed, WireError

MAGIC = b"VELDT1"
ALIGNMENT = 64
LARGE = 1 << 16  # bytes, from which on it costs less to send an array by itself
MAX_BYTES = 1 << 30  # of a frame
EPISODE_BYTES = 64  # of JSON, at most, for a return and a length
DTYPES = frozenset({"bool", "uint8", "int32", "int64", "float16", "float32", "float64"})
Arrays = Mapping[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long the frames of a message to a learner can be, in bytes; a longer one is nobody's."""

    head: int = 1 << 24
    """the first, which is JSON"""
    frame: int = MAX_BYTES
    """any"""
    question: int = 0
    """of what an actor sees, where it asks what to do"""

    @classmethod
    def of(cls, unroll: int, question: int, episodes: int) -> "Limits":
        """Those of a run.

        Args:
            unroll, question: Bytes of the largest ones.
            episodes: That can end in an unroll.
        """
        head = (1 << 16) + EPISODE_BYTES * episodes
        return cls(head, max(head, unroll, question), question)


Share = Annotated[str, pydantic.StringConstraints(pattern="^(environment|inference|waiting)$")]


class _Header(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class Hello(_Header):
    """An actor is there."""

    kind: Literal["hello"] = "hello"
    run: str
    actor: int
    incarnation: int


class Welcome(_Header):
    """The learner knows the actor, and tells it what to do."""

    kind: Literal["welcome"] = "welcome"
    settings: dict[str, Any]
    learner: int = 0
    """Which learner it works for,"""
    learners: int = 1
    """of so many that learn together."""


class Ready(_Header):
    """The actor asks for its next unroll; it holds the weights of `version`, or -1."""

    kind: Literal["ready"] = "ready"
    actor: int
    incarnation: int
    version: int


class Work(_Header):
    """One unroll may be made: the `number`-th of the run, under the weights of `version`."""

    kind: Literal["work"] = "work"
    number: int
    version: int
    fresh: bool
    """Begin new episodes instead of going on with those at hand."""
    slot: int = -1
    """Where the unroll may be put instead of being sent; -1: nowhere"""
    memory: str = ""
    """The path of the memory with the slots,"""
    slot_bytes: int = 0
    """the bytes of each for an unroll,"""
    question_bytes: int = 0
    """and those behind it for a question."""


class Delivery(_Header):
    """The unroll; the body is a trajectory."""

    kind: Literal["delivery"] = "delivery"
    actor: int
    incarnation: int
    number: int
    version: int
    episodes: list[tuple[pydantic.FiniteFloat, pydantic.NonNegativeInt]]
    """(return, steps) of each whole episode that ended in the unroll."""
    seconds: dict[Share, pydantic.FiniteFloat]
    """Where the actor's time went: environment, inference, waiting."""
    slot: int = -1
    """Where the unroll is; -1: in this message"""
    more: bool = False
    """Asks for the next one too, as `ready` does, holding the weights of this one."""


class Ask(_Header):
    """What to do? The body is what the actor sees; a step of its unroll `number`."""

    kind: Literal["ask"] = "ask"
    actor: int
    incarnation: int
    number: int
    version: int
    step: int
    slot: int = -1
    """Whose last bytes have what is seen; -1: in this message"""


class Answer(_Header):
    """This; the body says."""

    kind: Literal["answer"] = "answer"


class Fault(_Header):
    """The actor cannot go on, and starting another would not help."""

    kind: Literal["fault"] = "fault"
    actor: int
    incarnation: int
    reason: str
    traceback: str = ""
    """where the code is at fault"""
    diverged: bool = False
    """whether the network is"""

    @property
    def error(self) -> RunFailed:
        """As what it ends the run."""
        if self.traceback:
            return CodeError(self.reason, self.traceback)
        if self.diverged:
            return Diverged(self.reason)
        return EnvironmentFault(self.reason)


class Join(_Header):
    """Another host offers to run `count` actors."""

    kind: Literal["join"] = "join"
    host: str
    version: str
    """of veldt"""
    count: int = pydantic.Field(ge=1, le=4096)
    run: str = ""
    """The learner's own word, where it told it to a host that is the same machine; no key is
    asked for then"""


class Joined(_Header):
    """The host is to run these actors."""

    kind: Literal["joined"] = "joined"
    run: str
    settings: dict[str, Any]
    actors: list[tuple[int, int]]
    """(number, its incarnation before; -1: none)"""


class Expect(_Header):
    """The host is about to start another process for an actor; the one before is gone."""

    kind: Literal["expect"] = "expect"
    actor: int
    incarnation: int


class Beat(_Header):
    """The host is alive, and so are its actors."""

    kind: Literal["beat"] = "beat"


class Heard(_Header):
    """So is the learner, and what it knows of the host's actors."""

    kind: Literal["heard"] = "heard"
    delivered: list[int]
    """that delivered an unroll since the last time"""
    waiting: list[int]
    """that asked for an unroll and have not got one yet"""


class Leave(_Header):
    """The host ends, and its actors with it."""

    kind: Literal["leave"] = "leave"


class Refusal(_Header):
    """The learner does not want this host."""

    kind: Literal["refusal"] = "refusal"
    reason: str
    traceback: str = ""
    """where its actor's code is at fault"""


class Stop(_Header):
    """The run is over."""

    kind: Literal["stop"] = "stop"


Header = Annotated[
    Hello
    | Welcome
    | Ready
    | Work
    | Delivery
    | Ask
    | Answer
    | Fault
    | Stop
    | Join
    | Joined
    | Expect
    | Beat
    | Heard
    | Leave
    | Refusal,
    pydantic.Field(discriminator="kind"),
]


class _Envelope(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    header: Header
    arrays: list[tuple[str, str, list[int]]] = []
    apart: bool = False


class Body:
    """Arrays laid out once for sending, as often as wanted.

    Args:
        arrays: Copied.
        buffer: Where to, `size_of(arrays)` bytes; None: into memory of its own.
        apart: Leave the largest where it is, if it is large; it must not be written to any more.
    """

    def __init__(
        self, arrays: Arrays, buffer: NDArray[Any] | None = None, apart: bool = False
    ) -> None:
        self.apart: NDArray[Any] | None = None
        self.manifest = [
            (name, array.dtype.name, list(array.shape)) for name, array in arrays.items()
        ]
        if apart and arrays:
            largest = max(arrays, key=lambda name: arrays[name].nbytes)
            array = arrays[largest]
            if array.nbytes >= LARGE and array.flags.c_contiguous:
                self.apart = array
                self.manifest.sort(key=lambda entry: entry[0] == largest)
                arrays = {name: arrays[name] for name, *_ in self.manifest[:-1]}
        sizes = [_padded(array.nbytes) for array in arrays.values()]
        self.buffer = np.empty(sum(sizes), np.uint8) if buffer is None else buffer
        at = 0
        for array, size in zip(arrays.values(), sizes, strict=True):
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.buffer[at : at + array.nbytes] = raw
            self.buffer[at + array.nbytes : at + size] = 0
            at += size


def size_of(arrays: Arrays) -> int:
    """Bytes of a body with these."""
    return sum(_padded(array.nbytes) for array in arrays.values())


EMPTY = Body({})


def pack(header: Any, body: Body = EMPTY, sent: bool = True) -> list[Any]:
    """The frames of a message; a body that is empty, or not `sent` but shared, costs no frame."""
    apart = body.apart is not None
    envelope = _Envelope.model_construct(header=header, arrays=body.manifest, apart=apart)
    head = MAGIC + envelope.model_dump_json().encode()
    if not (body.manifest and sent):
        return [head]
    return [head, body.buffer, body.apart] if apart else [head, body.buffer]


def unpack(
    frames: Sequence[Any],
    shared: Callable[[Any], Any] | None = None,
    longest_head: int | None = None,
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """The header and the arrays of a message; the arrays are read-only views of it.

    Args:
        frames: Of the message.
        shared: Given the header of a message whose arrays lie in a slot, their bytes and perhaps
            more; it may raise WireError.
        longest_head: Bytes that the first frame may have; None: any number.

    Raises:
        WireError: if anything does not keep to the schema.
    """
    if frames and longest_head is not None and len(frames[0]) > longest_head:
        raise WireError(f"a header of {len(frames[0]):,} bytes; {longest_head:,} are the most.")
    head = bytes(frames[0]) if frames else b""
    if not head.startswith(MAGIC):
        raise WireError("a message that is not ours, or of another version of the protocol.")
    try:
        envelope = _Envelope.model_validate_json(head[len(MAGIC) :])
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise WireError(f"header: {first['loc']}: {first['msg']}.") from None
    header, manifest = envelope.header, envelope.arrays
    if isinstance(header, Delivery | Ask) and header.slot != -1:
        if shared is None or len(frames) != 1:
            raise WireError(f"{header.kind}: slot {header.slot} and {len(frames)} frames.")
        return header, _split(manifest, shared(header), whole=False)
    apart = envelope.apart and bool(manifest)
    if len(frames) != 1 + bool(manifest) + apart:
        raise WireError(f"{header.kind}: {len(frames)} frames.")
    if not apart:
        return header, _split(manifest, memoryview(frames[1]) if manifest else b"")
    arrays = _split(manifest[:-1], memoryview(frames[1]))
    last = _split(manifest[-1:], memoryview(frames[2]), padded=False)
    if last.keys() & arrays.keys():
        raise WireError(f"array {manifest[-1][0]!r} comes twice.")
    return header, arrays | last


def _split(
    manifest: list[tuple[str, str, list[int]]],
    body: Any,
    whole: bool = True,
    padded: bool = True,
) -> dict[str, NDArray[Any]]:
    """The arrays in a body, which ends with them if it is `whole`."""
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for name, dtype, shape in manifest:
        if dtype not in DTYPES or name in arrays or any(length < 0 for length in shape):
            raise WireError(f"array {name!r}: {dtype} {shape} is not something we send.")
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        room = _padded(size) if padded else size
        if at + room > len(body):
            raise WireError(f"array {name!r}: the message is too short for {dtype} {shape}.")
        try:
            arrays[name] = np.frombuffer(body, dtype, count, at).reshape(shape)
        except (ValueError, OverflowError):  # no array has so many or such long sides
            raise WireError(f"array {name!r}: {dtype} {shape} is no shape.") from None
        arrays[name].flags.writeable = False
        at += room
    if whole and at != len(body):
        raise WireError(f"{len(body) - at} bytes too many.")
    return arrays


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
