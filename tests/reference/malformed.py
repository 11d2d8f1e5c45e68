"""Messages that no actor of ours would send."""

import json

import numpy as np

from veldt.platform import wire


def malformed(random, run):
    """One, endlessly varied: its frames."""
    delivery = wire.Delivery(
        actor=0, incarnation=0, number=1, version=0, episodes=[(1.0, 2)], seconds={"waiting": 0.1}
    )
    whole = [bytes(f) for f in wire.pack(delivery, wire.Body({"x": np.arange(50.0)}))]
    kind = random.integers(7)
    if kind == 0:
        return [random.bytes(int(random.integers(1, 200)))]
    if kind == 1:  # bits turned over
        head = bytearray(whole[0])
        for at in random.integers(len(head), size=3):
            head[at] ^= 1 << int(random.integers(8))
        return [bytes(head), whole[1]]
    if kind == 2:  # cut short
        return [whole[0][: int(random.integers(len(whole[0])))], whole[1]]
    if kind == 3:
        return [*whole, *[b"x"] * int(random.integers(1, 4))]
    if kind == 4:  # a well-formed message of somebody who never joined
        return wire.pack(wire.Ready(actor=0, incarnation=0, version=-1))
    if kind == 5:
        return wire.pack(wire.Hello(run=run[:-1], actor=0, incarnation=0))
    values = [-1, 2**63, 1e308, None, [], {}, "x" * 100, True]
    value = values[int(random.integers(len(values)))]
    header = json.loads(whole[0][len(wire.MAGIC) :])
    field = list(header["header"])[int(random.integers(len(header["header"])))]
    header["header"][field] = value
    return [wire.MAGIC + json.dumps(header).encode(), whole[1]]
