"""TPE is told what it would find out anew for each question; its answers stay Optuna's."""

import numpy as np
import pytest

from veldt.platform.keys import Key
from veldt.search import optuna_search
from veldt.search.optuna_search import Tpe, TpeSettings
from veldt.search.space.space import Space

FLAT = {
    "rate": {"kind": "log", "low": 1e-5, "high": 1.0},
    "steps": {"kind": "integer", "low": 1, "high": 40},
    "kind": {"kind": "choice", "values": ["one", "two", "three"]},
    "fixed": {"kind": "integer", "low": 3, "high": 4, "step": 1},
}
CONDITIONAL = FLAT | {
    "optimizer": {
        "kind": "choice",
        "values": [{"name": "a"}, {"name": "b", "x": {"kind": "real", "low": 0.0, "high": 1.0}}],
    }
}


def points(space, trials=45):
    searcher = Tpe(TpeSettings(trials=trials, first=8), Space(space), Key(3), None)
    random, open_questions, found = np.random.default_rng(0), [], []
    while (question := searcher.ask()) is not None:
        found.append(question.point)
        open_questions.append(question)
        if len(open_questions) == 4:  # some are under way while others are asked
            told = open_questions.pop(int(random.integers(4)))
            score = -abs(np.log10(told.point["rate"]) + 2.0) - told.point["steps"] / 40.0
            share = [0.5, 1.0][told.number % 3 > 0]
            searcher.tell(told.number, None if told.number % 13 == 5 else score, share)
    return found


@pytest.mark.parametrize("space", [FLAT, CONDITIONAL], ids=["flat", "conditional"])
def test_the_questions_are_those_of_a_sampler_that_finds_out_itself(monkeypatch, space):
    taught = []
    teach = optuna_search._Known.teach
    monkeypatch.setattr(
        optuna_search._Known, "teach", lambda self, s: (taught.append(s), teach(self, s))
    )
    quick = points(space)
    assert len(taught) == (45 if space is FLAT else 0)

    def ignorant(self, space):
        self.distributions = None

    monkeypatch.setattr(optuna_search._Known, "__init__", ignorant)
    assert points(space) == quick
