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


SAID = {
    "kind": ["answer", "beat?", 3],
    "actor": [0, 7, 10**400, None],
    "incarnation": [77, 10**400],
    "number": ["0", None],
    "version": [0.5, []],
    "slot": [3, -2, 10**400],
    "episodes": [
        [[1.0, 10**400]],
        [[1e308, 2]],
        [[float("nan"), 2]],
        [[1.0, -1]],
        [[1.0, 2]] * 1000,
        [[1.0]],
    ],
    "seconds": [{"waiting": -1e308}, {"elsewhere": 1.0}],
    "step": [-1, 10**400],
    "more": [1],
}


def altered(header, arrays):
    """What somebody who was let in could say: a delivery or a question of an actor's with one
    thing changed each; of all of them, what was changed and the frames."""
    whole = [bytes(frame) for frame in wire.pack(header, wire.Body(arrays))]
    plain, found = json.loads(whole[0][len(wire.MAGIC) :]), []
    for field, values in SAID.items():
        for value in values if field in plain["header"] or field == "more" else ():
            head = json.dumps(plain | {"header": plain["header"] | {field: value}})
            found.append((f"{field}={value!r:.40}", [wire.MAGIC + head.encode(), *whole[1:]]))
    for name, array in arrays.items():
        changed = [array.astype(np.float16)]
        if array.size and array.dtype == bool:
            changed += [~array] if name != "first" or array.ndim > 1 else []
        elif array.size:
            values = [np.nan, np.inf] if array.dtype.kind == "f" else [-1, 99]
            changed += [np.full_like(array, value) for value in values]
        for wrong in changed:
            frames = wire.pack(header, wire.Body(arrays | {name: wrong}))
            what = f"{name}: {wrong.dtype} {wrong.reshape(-1)[:1]}"
            found.append((what, [bytes(frame) for frame in frames]))
    return found
