"""Keys: equal ones give equal numbers everywhere, different ones do not."""

import subprocess
import sys

import numpy as np

from veldt.platform.keys import Key

KEY = Key(7).child("episode", 3, 0)


def test_same_numbers_in_another_process():
    code = (
        "from veldt.platform.keys import Key; k = Key(7).child('episode', 3, 0); "
        "print(k.integer(), k.generator().random())"
    )
    words = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(words[0]) == KEY.integer()
    assert float(words[1]) == KEY.generator().random()


def test_what_was_drawn_before_does_not_matter():
    KEY.generator().random(100)
    assert KEY.generator().random() == KEY.generator().random()


def test_different_paths_are_different_streams():
    keys = [Key(7), Key(8), Key(7).child("a"), Key(7).child("b"), Key(7).child("a", 0)]
    keys += [Key(7).child("a", 1), Key(7).child("a").child("b")]
    assert len({key.integer() for key in keys}) == len(keys)
    draws = np.array([key.generator().standard_normal(2000) for key in keys])
    assert np.abs(np.corrcoef(draws) - np.eye(len(keys))).max() < 0.1


def test_integers_suit_every_library():
    assert all(0 <= Key(0).child("x", i).integer() < 2**31 for i in range(500))
