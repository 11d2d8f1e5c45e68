"""A learner and its actors on several hosts: what the command line's words mean."""

import ipaddress
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from veldt.launch.console import Console
from veldt.platform.channels import certificates
from veldt.platform.channels.door import Door
from veldt.platform.errors import InputError
from veldt.platform.interrupts import Interrupts
from veldt.platform.machine import whole_cores

Stop = Callable[[], bool]


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
        serve_learner(connect, certificate, count or whole_cores(), patience_s, log, stop)


def serve_learner(
    address: str,
    certificate: certificates.Certificate | None,
    count: int,
    patience_s: float,
    log: Path | None,
    stop: Stop,
    run: str = "",
) -> None:
    """Runs actors until the learner's run is over; see `hosting.serve`."""
    from veldt.agents import host as hosting

    log = log or Path(
        tempfile.gettempdir(), f"veldt-actors-{os.getpid()}-{secrets.token_hex(4)}.log"
    )
    try:
        hosting.serve(
            address,
            certificate,
            count,
            patience_s=patience_s,
            log=log,
            stop=stop,
            announce=Console(json_only=True).say,  # a host has no result
            run=run,
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
