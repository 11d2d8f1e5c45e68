"""MuJoCo warns through our log, and who does without it does not wait for it."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from veldt.platform.envs.gymnasium_vector import make_gymnasium

IMPORTED = """
import sys
from veldt.platform.envs.gymnasium_vector import GymnasiumVector
from veldt.platform.keys import Key
GymnasiumVector("Acrobot-v1", 1).reset(Key(0))
print("mujoco" in sys.modules)
GymnasiumVector("InvertedPendulum-v5", 1).reset(Key(0))
print("mujoco" in sys.modules)
"""


def test_it_is_imported_where_it_is_used():
    pytest.importorskip("mujoco")
    line = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_its_warnings_are_in_our_log_and_in_no_file(tmp_path, monkeypatch, caplog):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    with make_gymnasium("InvertedPendulum-v5", {}) as environment, caplog.at_level(logging.DEBUG):
        environment.reset(seed=0)
        environment.unwrapped.data.qpos[:] = np.nan
        environment.step(np.zeros(1, np.float32))
    assert "MuJoCo: " in caplog.text
    assert not list(tmp_path.iterdir())
