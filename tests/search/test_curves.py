"""Where learning curves end: the model, held to the dense process, and who schedules by it."""

import math

import numpy as np
import pytest

from tests.reference import literal_curves as literal
from tests.reference.simulated_curves import Curves as Shapes
from tests.reference.simulated_curves import JobOf, R, run, settings, spent
from veldt.platform.keys import Key
from veldt.search import curves as model
from veldt.search.curves import Curve, Curves, Theta
from veldt.search.schedulers import curve, freeze_thaw
from veldt.search.schedulers.scheduler import Plan
from veldt.search.space.space import Space
from veldt.search.view import View


def some(dimensions=2, seed=0):
    """Curves of different lengths, two of them at the same times, one yet to begin."""
    random = np.random.default_rng(seed)
    found = []
    for times in ([0.1, 0.2, 0.5], [0.1, 0.2, 0.5], [0.3], [], [0.05, 0.25, 0.6, 0.95]):
        times = np.array(times)
        found.append(Curve(random.random(dimensions), times, random.normal(size=len(times))))
    return found


def standardised(curves):
    seen = np.concatenate([curve.values for curve in curves])
    level, scale = seen.mean(), seen.std()
    return [Curve(c.x, c.times, (c.values - level) / scale) for c in curves], level, scale


@pytest.mark.parametrize("dimensions", [0, 1, 3])
@pytest.mark.parametrize("theta", [Theta(), Theta(1.0, 3.0, 0.3, 2.0, 0.03, 1e-3)])
def test_curve_by_curve_it_is_the_dense_process(dimensions, theta):
    curves = some(dimensions)
    plain, level, scale = standardised(curves)
    found = Curves(curves, theta)
    for n in range(len(curves)):
        for time in (0.0, 0.2, 1.0):
            mean, deviation, likelihood = literal.predicted(plain, theta, n, time)
            np.testing.assert_allclose(
                found.at(n, time), (level + scale * mean, scale * deviation), rtol=1e-6
            )
            assert found.likelihood == pytest.approx(likelihood, rel=1e-9)


def test_the_fit_is_more_probable_than_any_neighbour_on_the_grid():
    plain, _, _ = standardised(some(seed=3))
    theta = model.fitted(plain)
    best = model.solved(plain, theta)[0]
    assert best > model.solved(plain, Theta())[0]
    for name in ("noise", "decay"):
        for choice in model.GRID[name]:
            assert model.solved(plain, theta._replace(**{name: choice}))[0] <= best + 1e-9


def decaying(x, times, noise=0.0, seed=0):
    """Rises to an asymptote that the settings decide."""
    end = 100.0 - 80.0 * abs(x - 0.4)
    drawn = np.random.default_rng(seed).normal(size=len(times))
    return end * (1.0 - np.exp(-3.0 * np.asarray(times))) + noise * drawn


def test_ends_are_foreseen_within_what_it_says():
    """Of curves seen for a third, after some that were seen as a whole."""
    random, errors, carried, zs = np.random.default_rng(1), [], [], []
    whole = np.arange(1, 11) / 10
    known = [
        Curve(np.array([x]), whole, decaying(x, whole, 1.0, i))
        for i, x in enumerate(random.random(8))
    ]
    for i, x in enumerate(random.random(20)):
        part = Curve(np.array([x]), whole[:3], decaying(x, whole, 1.0, 50 + i)[:3])
        mean, deviation = Curves([*known, part]).at(8, 1.0)
        truth = decaying(x, [1.0])[0]
        errors.append(abs(mean - truth))
        carried.append(abs(part.values[-1] - truth))
        zs.append(abs(mean - truth) / deviation)
    assert np.mean(errors) < 0.25 * np.mean(carried)
    assert np.mean(np.array(zs) < 2.0) > 0.8


def bent(x, times):
    """The settings decide how fast it rises, too, which the model does not foresee."""
    end = 100.0 - 80.0 * abs(x - 0.4)
    return end * (1.0 - np.exp(-(1.0 + 6.0 * x) * np.asarray(times)))


@pytest.mark.parametrize("seed", range(3))
def test_its_doubt_is_how_far_new_curves_are_off(seed):
    random, whole, zs = np.random.default_rng(seed), np.arange(1, 11) / 10, []
    known = [Curve(np.array([x]), whole, bent(x, whole)) for x in random.random(6)]
    theta = Curves(known).theta
    for x in random.random(30):
        part = Curve(np.array([x]), whole[:3], bent(x, whole)[:3])
        mean, deviation = Curves([*known, part], theta).at(6, 1.0)
        zs.append((bent(x, [1.0])[0] - mean) / deviation)
    off = math.sqrt(np.square(zs).mean())
    assert off > 2.0 and model.doubt(known, theta) == pytest.approx(off, rel=0.2)


def test_curves_are_thinned_to_their_last_point():
    points = [(100 * i, float(i)) for i in range(1, 38)]
    times, values = model.thinned(points, 3_700)
    assert len(times) == model.POINTS and values[-1] == 37.0 and times[-1] == 1.0
    assert (np.diff(values) > 0).all()
    assert len(model.thinned(points[:4], 3_700)[0]) == 4


def test_improvement_and_chance_are_the_integrals():
    z = np.linspace(-9.0, 9.0, 180_001)
    weights = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * (z[1] - z[0])
    for mean, deviation, than in ((1.0, 2.0, 1.5), (-3.0, 0.5, -3.2), (0.0, 1.0, 2.0)):
        y = mean + deviation * z
        chance, above = weights @ (y > than), weights @ np.maximum(y - than, 0.0)
        assert model.exceeds((mean, deviation), than) == pytest.approx(chance, abs=1e-4)
        assert model.improvement((mean, deviation), than) == pytest.approx(above, rel=1e-4)
    assert math.isclose(model.exceeds((0.0, 1.0), 0.0), 0.5)


class Rates(Shapes):
    """The learning rate decides where a curve ends, and how fast it comes there."""

    def score(self, job, frames):
        rate = math.log10(job.settings["optimizer"]["learning_rate"])
        end = 100.0 * math.exp(-0.8 * abs(rate + 3.2))
        drawn = np.random.default_rng([job.settings["seed"] % 2**32, frames]).normal()
        rise = 1.0 - math.exp(-max(5.0 + rate, 0.5) * frames / R)
        return end * rise + self.noise * drawn


LANDSCAPES = {"rates": Rates(noise=1.0), "crossing": Shapes(crossing=True)}


def ends(study, landscape):
    """trial -> where it would end."""
    return {t.number: landscape.score(JobOf(t), R) for t in study.view.trials.values()}


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_the_curve_rule_saves_half_and_keeps_the_best(tmp_path, landscape):
    lost, shares = [], []
    for seed in range(3):
        made = settings("curve", trials=30, seed=seed)
        study, _, _ = run(tmp_path / str(seed), made, LANDSCAPES[landscape], workers=2)
        end = ends(study, LANDSCAPES[landscape])
        states = {t.number: t.state for t in study.view.trials.values()}
        assert set(states.values()) == {"done", "paused"}  # nobody is condemned
        lost.append(max(end.values()) - max(end[n] for n in end if states[n] == "done"))
        shares.append(spent(study.view) / (30 * R))
    assert max(lost) < 2.0 and np.mean(shares) < 0.55, (lost, shares)


def judged(deviation, least_share=0.1, frames=2_000, doubtful=1.0):
    """Whether a trial goes on of which a mean of 50 is foreseen, where the best is 60."""

    class Foreseen:
        def __init__(self, curves, theta):
            self.last = len(curves) - 1

        def at(self, n, time):
            assert time == 1.0
            return (50.0, deviation) if n == self.last else (60.0 - n, 1.0)

    view = View(R)
    for number in range(5):
        view.take("trial", {"number": number, "point": {"optimizer.learning_rate": 1e-3}})
        view.trials[number].reports = [(frames // 2, 1.0), (frames, 2.0)]
        view.trials[number].state = "running" if number == 4 else "done"
    plan = Plan(
        R, Space({"optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1}}), Key(0)
    )
    scheduler = curve.Stopping(curve.CurveSettings(least_share=least_share), plan)
    scheduler._experience.of = lambda seen, known: (Theta(), doubtful)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curve, "Curves", Foreseen)
        return scheduler.judge(view, view.trials[4])


def test_a_chance_of_one_in_twenty_is_one_below_1_645_deviations():
    assert judged(10.0 / 1.64) and not judged(10.0 / 1.65)
    assert judged(5.0 / 1.64, doubtful=2.0) and not judged(5.0 / 1.65, doubtful=2.0)
    assert judged(1.0, frames=R // 10 - 1) and not judged(1.0, frames=R // 10)


def test_with_its_chances_turned_round_it_loses_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "exceeds", lambda found, best: 1.0 - model.exceeds(found, best))
    lost = []
    for seed in range(3):
        made = settings("curve", trials=30, seed=seed)
        study, _, _ = run(tmp_path / str(seed), made, LANDSCAPES["rates"], workers=2)
        end = ends(study, LANDSCAPES["rates"])
        done = [t.number for t in study.view.trials.values() if t.state == "done"]
        lost.append(max(end.values()) - max(end[n] for n in done))
    assert np.mean(lost) > 2.0, lost


def gains(folder, seeds):
    """By how much freeze-thaw's best ends above the best of all to the end, both for the frames
    of eight whole trials."""
    found = []
    for seed in seeds:
        made = settings("freeze-thaw", trials=60, budget=8, seed=seed)
        study, summary, _ = run(folder / str(seed), made, LANDSCAPES["rates"], workers=2)
        assert 8 * R <= spent(study.view) <= 8.2 * R
        end = ends(study, LANDSCAPES["rates"])
        found.append(end[summary["best_trial"]] - max(end[n] for n in range(8)))
    return np.array(found)


def test_freeze_thaw_finds_better_than_all_to_the_end_for_as_many_frames(tmp_path):
    found = gains(tmp_path, range(4))
    assert found.min() > -2.0 and found.mean() > 4.0, found


def test_with_its_promises_turned_round_it_does_not(tmp_path, monkeypatch):
    turned = lambda found, best: -model.improvement(found, best)  # noqa: E731
    monkeypatch.setattr(freeze_thaw, "improvement", turned)
    assert gains(tmp_path, range(3)).mean() < 0.0


def test_freeze_thaw_finds_slow_winners_and_leaves_the_hopeless(tmp_path):
    made, landscape = settings("freeze-thaw", trials=30, seed=3), LANDSCAPES["crossing"]
    study, summary, _ = run(tmp_path, made, landscape, workers=2)
    end = ends(study, landscape)
    assert end[summary["best_trial"]] > max(end.values()) - 1.0
    assert spent(study.view) < 20 * R


def test_of_a_grammar_the_curves_alone_are_known(tmp_path):
    grammar = {
        "space": {"optimizer.learning_rate": {"kind": "rule", "name": "rate"}},
        "rules": {"rate": {"kind": "log", "low": 1e-4, "high": 1e-2}},
    }
    for name in ("curve", "freeze-thaw"):
        made = settings(name, trials=12, **grammar)
        study, summary, _ = run(tmp_path / name, made, Rates(noise=1.0))
        assert summary["trials"] == 12 and spent(study.view) < 11 * R
