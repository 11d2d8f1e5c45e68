"""Who may join a learner from another host: CURVE key pairs, in files only their owner reads.

    DIR/learner.key       the learner's pair; it stays here
    DIR/NAME.key          the pair of NAME and the learner's public key: for NAME's host
    DIR/allowed/NAME      NAME's public key; without this file NAME is turned away

CurveZMQ (rfc.zeromq.org/spec/26) encrypts and authenticates both ends with such keys; each is
32 bytes, written as 40 characters in Z85.
"""

import dataclasses
import json
import logging
import os
import re
import stat
from pathlib import Path

import zmq

from veldt.platform.errors import InputError
from veldt.platform.runs import sync_folder

logger = logging.getLogger(__name__)

LEARNER = "learner"
SIZE = 40  # characters of a key


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A key pair, and for an actors' host the public key of its learner."""

    public: str
    secret: str = dataclasses.field(repr=False)
    learner: str = ""

    def plain(self) -> dict[str, str]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def make(learner: str = "") -> Certificate:
    """A new pair; `learner` is the public key of the learner it is for."""
    public, secret = zmq.curve_keypair()
    return Certificate(public.decode(), secret.decode(), learner)


def create(folder: Path, name: str) -> Path:
    """Makes the keys of the host or user `name`, and, if there are none yet, the learner's.

    Returns:
        The file that goes to the other host.

    Raises:
        InputError: if the name is not one for a file, or has keys already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name == LEARNER:
        raise InputError(
            f"{name!r}: a name is of letters, digits, '.', '_' and '-', and not {LEARNER!r}."
        )
    (folder / "allowed").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    own = folder / f"{LEARNER}.key"
    if not own.exists():
        _write(own, make())
    certificate = make(read(own).public)
    file = folder / f"{name}.key"
    _write(file, certificate)
    (folder / "allowed" / name).write_text(f"{certificate.public}\n")
    sync_folder(folder)
    return file


def _write(file: Path, certificate: Certificate) -> None:
    """Into a new file that nobody else could read at any moment."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{file} is there already; remove it first to make new keys.") from None
    with os.fdopen(descriptor, "w") as out:
        out.write(json.dumps(certificate.plain(), indent=1) + "\n")
        out.flush()
        os.fsync(out.fileno())


def read(file: Path) -> Certificate:
    """The keys in a file.

    Raises:
        InputError: if there are none, or others can read them.
    """
    try:
        mode, text = file.stat().st_mode, file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}; `veldt keys new DIR` makes keys.") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InputError(f"{file} can be read by others: chmod 600 it, or make new keys.")
    try:
        return Certificate(**{str(k): _checked(v) for k, v in json.loads(text).items()})
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{file} holds no keys; `veldt keys new DIR` makes some.") from None


def _checked(key: object) -> str:
    if not isinstance(key, str) or len(key) not in (0, SIZE):
        raise ValueError(key)
    return key


class AllowList:
    """The public keys under DIR/allowed, as they are at the moment of asking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "allowed"
        self._left_out: set[Path] = set()

    def __call__(self, public: str) -> bool:
        """Whether this key may come in."""
        try:
            files = list(self._folder.iterdir())
        except OSError as error:
            self._leave_out(self._folder, error)
            return False
        return any(self._key(file) == public for file in files)

    def _key(self, file: Path) -> str | None:
        """What is in a file; None if it is not there any more, or is none of ours."""
        try:
            return file.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            self._leave_out(file, error)
            return None

    def _leave_out(self, file: Path, error: Exception) -> None:
        """Says so, once."""
        if file not in self._left_out:
            self._left_out.add(file)
            logger.warning("%s holds no key that anybody could come in with: %s", file, error)
