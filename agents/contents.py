"""What the numbers in an unroll and in a question can be: both ends look, the sender first.

An actor that looks before it sends tells its user what its own environment or network does wrong;
a learner that looks at what comes does not take it from anybody else.

Legend: T steps of the unroll, B environments.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.parts import BUCKETS
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import Diverged, EnvironmentFault, WireError
from veldt.platform.trajectory import Array, Trajectory
from veldt.platform.wire import Arrays

MOST_STEPS = 2**53  # of an episode
LARGEST_RETURN = 1e60  # of an episode: so many steps with the largest of rewards give less

Episodes = Sequence[tuple[float, int]]  # (return, steps)


class Contents:
    """Of unrolls and questions whose dtypes and shapes are those of an environment.

    Args:
        spec: Of the environment.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        actions = spec.actions
        self._id = spec.id
        self._counts = np.array(actions.counts, np.uint64)
        self._whole = actions.dtype == "int64"
        self._floats = spec.observations.dtype == "float32"
        self._parts = [part for part in spec.observations.parts if part.kind != "image"]

    def unroll(self, unroll: Trajectory, episodes: Episodes) -> None:
        """Looks at what an actor sent.

        Args:
            unroll: As `from_arrays` gives it.
            episodes: That ended in it.

        Raises:
            WireError: unless its floats are finite, its actions and words in range, its flags
                consistent, and its episodes at most T * B of finite returns and lengths.
        """
        self._experience(unroll, episodes)
        self._agents(unroll)

    def question(self, arrays: Arrays) -> None:
        """Looks at what is asked; raises as `unroll`."""
        self._experienced(arrays)
        _finite("state", arrays["state"])

    def vouch(self, unroll: Trajectory, episodes: Episodes) -> None:
        """Looks at one's own unroll.

        Raises:
            EnvironmentFault: if the environment gave what it cannot give.
            Diverged: if the network did.
        """
        try:
            self._experience(unroll, episodes)
        except WireError as error:
            raise self._fault(error) from error
        self.vouch_for_agent(unroll.behaviour_policy, unroll.state)
        try:
            self._agents(unroll)
        except WireError as error:
            raise self._fault(error) from error

    def vouch_for_environment(self, arrays: Arrays) -> None:
        """Looks at one's own question, but for the state; raises EnvironmentFault."""
        try:
            self._experienced(arrays)
        except WireError as error:
            raise self._fault(error) from error

    def vouch_for_agent(self, policy: Array, state: Array) -> None:
        """Looks at what one's own network gave; raises Diverged."""
        for name, array in (("policy", policy), ("state", state)):
            if not np.isfinite(array).all():
                raise Diverged(
                    f"the network's {name} is not finite where it acts in {self._id}; lower "
                    "optimizer.learning_rate or optimizer.max_gradient_norm."
                )

    def _fault(self, error: WireError) -> EnvironmentFault:
        return EnvironmentFault(f"{self._id} cannot be learnt from: {error}")

    def _experience(self, unroll: Trajectory, episodes: Episodes) -> None:
        """What the environment has a part in."""
        for name in ("observation", "stack_older", "final_observation"):
            self._shown(name, getattr(unroll, name))
        _finite("reward", unroll.reward)
        _finite("last_reward", unroll.last_reward)
        terminated, truncated, final = unroll.terminated, unroll.truncated, unroll.final_index
        if (terminated & truncated).any():
            raise WireError("an episode is terminated together with truncated.")
        if (unroll.first[1:] != (terminated | truncated)).any():
            raise WireError("first must be so after an episode's end, and there alone.")
        cut = np.zeros_like(truncated)
        cut[final[:, 0], final[:, 1]] = True
        if len(final) != np.count_nonzero(truncated) or (cut != truncated).any():
            raise WireError("final_index must name each truncation once, and nothing else.")
        if len(episodes) > unroll.steps:
            raise WireError(f"{len(episodes)} episodes ended in {unroll.steps} steps.")
        for total, steps in episodes:
            if not (-LARGEST_RETURN <= total <= LARGEST_RETURN and 0 <= steps <= MOST_STEPS):
                raise WireError("an episode's return must be finite, its steps a number of them.")

    def _agents(self, unroll: Trajectory) -> None:
        """What the agent has a part in."""
        self._done("action", unroll.action)
        self._done("last_action", unroll.last_action)
        _finite("behaviour_policy", unroll.behaviour_policy)
        _finite("state", unroll.state)

    def _experienced(self, arrays: Arrays) -> None:
        self._shown("observation", arrays["observation"])
        self._shown("stack_older", arrays["stack_older"])
        self._done("last_action", arrays["last_action"])
        _finite("last_reward", arrays["last_reward"])

    def _done(self, name: str, action: Array) -> None:
        if not self._whole:
            _finite(name, action)
        elif (action.view(np.uint64) >= self._counts).any():  # what is negative is large then
            raise WireError(f"{name} must lie in 0..{self._counts.astype(np.int64) - 1}.")

    def _shown(self, name: str, observation: Array) -> None:
        if self._floats:
            _finite(name, observation)
        for part in self._parts if len(observation) else ():
            cell = observation[..., part.offset : part.offset + part.size]
            numbers: NDArray[np.generic] = np.ascontiguousarray(cell).view(part.dtype)
            if part.kind == "words" and (numbers.view(np.uint32) > BUCKETS).any():
                raise WireError(f"{name}: the words of {part.name} must lie in 0..{BUCKETS}.")
            if part.dtype == "float32":
                _finite(f"{name}: {part.name}", numbers)


def _finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise WireError(f"{name} must be finite.")
