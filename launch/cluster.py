"""A learner and its actors on several hosts: what the command line's words mean."""

import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from veldt.launch.console import Console
from veldt.launch.ranks import on_ranks
from veldt.platform.channels import certificates
from veldt.platform.channels.door import Door, Entrance
from veldt.platform.errors import InputError, Interrupted, RunFailed
from veldt.platform.interrupts import Interrupts
from veldt.platform.machine import whole_cores
from veldt.platform.ranks import Ranks

PATIENCE_S = 60.0  # of a rank, with a learner that is silent
POLL_S = 0.2

Stop = Callable[[], bool]
Train = Callable[[Door | None, Stop], None]


def door(listen: str, keys: Path | None, insecure: bool, actors: int) -> Door:
    """Where a learner lets other hosts in.

    Raises:
        InputError: if the address is none, or strangers could come in that nobody asked for.
    """
    host = _host_of("--listen", listen)
    if keys is not None:
        if insecure:
            raise InputError("--keys and --insecure exclude one another.")
        own = certificates.read(keys / f"{certificates.LEARNER}.key")
        return Door(listen, own, certificates.AllowList(keys), actors)
    if not (insecure or _is_loopback(host)):
        raise InputError(
            f"--listen {listen} can be reached from other hosts: give --keys DIR (`veldt keys "
            "new DIR` makes it), or --insecure where only friends can reach it."
        )
    return Door(listen, actors=actors)


def train_on_ranks(data: dict[str, Any], train: Train) -> None:
    """Under `mpirun`: the first rank learns, the others share the actors.

    Args:
        data: A training's settings.
        train: What the first rank does.
    """
    on_ranks(lambda ranks, stop: _as_rank(ranks, stop, data, train))


def _as_rank(ranks: Ranks, stop: Stop, data: dict[str, Any], train: Train) -> None:
    if ranks.size == 1:
        train(None, stop)
    elif ranks.rank:
        _serve_first(ranks, stop)
    else:
        _learn(ranks, stop, data, train)


def _learn(ranks: Ranks, stop: Stop, data: dict[str, Any], train: Train) -> None:
    """Trains, and lets the other ranks in, with keys that are made for this once."""
    from veldt.agents.settings import TrainSettings

    hosts, opened = ranks.size - 1, False
    own = certificates.make()
    guest = certificates.make(own.public)

    def tell(entrance: Entrance) -> None:
        nonlocal opened
        opened = True
        for rank in range(1, ranks.size):
            share = count // hosts + (rank <= count % hosts)
            where = {"host": socket.gethostname(), "port": urlsplit(entrance.elsewhere).port}
            ranks.send(rank, where | {"key": guest.plain(), "count": share})

    try:
        count = TrainSettings.parse(data).actors.count
        if hosts > count:
            raise InputError(
                f"{ranks.size} ranks are one learner and {hosts} that run actors, but "
                f"actors.count is {count}: start at most {count + 1} ranks, or set actors.count."
            )
        train(Door("tcp://0.0.0.0:0", own, guest.public.__eq__, opened=tell), stop)
    except (InputError, Interrupted):
        if not opened:
            for rank in range(1, ranks.size):
                ranks.send(rank, {})
        raise


def _serve_first(ranks: Ranks, stop: Stop) -> None:
    """Runs this rank's share of the actors, once the first rank says which."""
    while (got := ranks.receive(POLL_S)) is None:
        if stop():
            return
    message = got[1]
    if not message:
        return
    host = "127.0.0.1" if message["host"] == socket.gethostname() else message["host"]
    address, guest = f"tcp://{host}:{message['port']}", certificates.Certificate(**message["key"])
    try:
        _serve(address, guest, message["count"], PATIENCE_S, None, stop)
    except InputError as error:  # not what all ranks were asked, but what is wrong with this one
        raise RunFailed(str(error)) from error


def serve(
    connect: str,
    key: Path | None,
    insecure: bool,
    count: int | None,
    patience_s: float,
    log: Path | None,
) -> None:
    """Runs actors for a learner elsewhere.

    Raises:
        InputError: if the address is none, or what travels would be in clear unasked.
    """
    host = _host_of("--connect", connect)
    if key is not None and insecure:
        raise InputError("--key and --insecure exclude one another.")
    if key is None and not (insecure or _is_loopback(host)):
        raise InputError(
            f"--connect {connect}: give --key FILE, from `veldt keys new` where the learner is, "
            "or --insecure if the learner has it too."
        )
    certificate = None if key is None else certificates.read(key)
    if certificate is not None and not certificate.learner:
        raise InputError(f"{key} is the learner's own; take the other file, NAME.key.")
    with Interrupts() as stop:
        _serve(connect, certificate, count or whole_cores(), patience_s, log, stop)


def _serve(
    address: str,
    certificate: certificates.Certificate | None,
    count: int,
    patience_s: float,
    log: Path | None,
    stop: Stop,
) -> None:
    from veldt.agents import host as hosting

    log = log or Path(tempfile.gettempdir(), f"veldt-actors-{os.getpid()}.log")
    try:
        hosting.serve(
            address,
            certificate,
            count,
            patience_s=patience_s,
            log=log,
            stop=stop,
            announce=Console(json_only=True).say,  # a host has no result
        )
    finally:
        if log.exists() and not log.stat().st_size:  # the actors had nothing to say
            log.unlink()


def _host_of(option: str, address: str) -> str:
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or port is None or parts.path:
        raise InputError(f"{option} {address}: an address is tcp://HOST:PORT.")
    return parts.hostname


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
