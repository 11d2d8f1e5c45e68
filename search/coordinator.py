"""The coordinator: has the studies' jobs done by the crew, the most urgent study's first.

    Study --job--> Coordinator --> Crew
      ^                              |
      '--- outcome, report, loss ----'

There may be one study, or several with priorities that share the workers. A free worker gets
the next job of the most urgent study that has one; while that has more to do than there are
free workers, a less urgent one gives up a worker: its job ends at once, with a checkpoint, and
goes on when there is room.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from veldt.platform.errors import Interrupted, VeldtError
from veldt.search.crew import POLL_S, Crew, Lost, News
from veldt.search.study import Study
from veldt.search.trial import Job, Reported

ARRIVALS_S = 0.5  # between looks for new studies

T = TypeVar("T")

Arrivals = Callable[[], tuple[Iterable[Study], bool]]
"""Studies that have come since, and whether more may come."""
Ended = Callable[[Study, VeldtError | None], None]
"""Told when a study is over, or failed."""


class Coordinator:
    """The loop.

    Args:
        crew: The workers. Some may be at work for studies that are to arrive, where this is
            another coordinator's successor.
        stop: Asked often.
        arrivals: Asked now and then.
        ended: Told of each study's end; raises what is to end everything.
        inherited: The first arrivals are another coordinator's, whose rank died.
    """

    def __init__(
        self,
        crew: Crew,
        stop: Callable[[], bool],
        arrivals: Arrivals,
        ended: Ended,
        inherited: bool = False,
    ) -> None:
        self._crew, self._stop, self._arrivals, self._ended = crew, stop, arrivals, ended
        self._inherited = inherited
        self._studies: list[Study] = []  # the most urgent first
        self._at: dict[int, Study] = {}  # worker -> whose job it is at
        self._yielding: set[int] = set()  # workers that were told to give up theirs
        self._next_look = 0.0
        self._more = True  # studies may come

    def run(self) -> None:
        """Until no study is left and no more will come.

        Raises:
            Interrupted: if `stop` ended it; the jobs under way have written checkpoints.
        """
        try:
            while True:
                self._look()
                self._give()
                self._bury()
                if not self._studies and not self._more:
                    return
                if self._stop():
                    raise Interrupted(
                        "stopped with "
                        f"{sum(len(study.view.scored) for study in self._studies)} trials "
                        "scored; go on with the same command and --resume."
                    )
                self._listen()
        finally:
            for study in self._studies:
                study.leave()

    def _look(self) -> None:
        """Lets new studies in."""
        if not self._more or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + ARRIVALS_S
        come, self._more = self._arrivals()
        for study in come:
            mine = study.begin(self._crew, self._inherited)
            self._at |= dict.fromkeys(mine, study)
            self._studies.append(study)
        self._studies.sort(key=lambda study: -study.priority)
        self._inherited = False

    def _give(self) -> None:
        """Jobs to the idle, and room for the most urgent."""
        jobs: list[tuple[int, Job]] = []
        for worker in self._crew.idle():
            self._yielding.discard(worker)
            for study in list(self._studies):
                job = self._try(study, study.give, worker)
                if job is not None:
                    self._at[worker] = study
                    jobs.append((worker, job))
                    break
            else:
                break  # nobody has anything to do now
        for study in self._studies:
            study.commit()
        for worker, job in jobs:
            self._crew.start(worker, job)
        self._make_room()

    def _make_room(self) -> None:
        for study in self._studies[:-1]:
            lower = [other for other in self._studies if other.priority < study.priority]
            coming = sum(self._at.get(worker) in lower for worker in self._yielding)
            room = [
                worker
                for worker, owner in self._at.items()
                if owner in lower and worker not in self._yielding
            ]
            if room and not coming and self._try(study, study.ready):
                # The least urgent gives way, one worker at a time.
                worker = min(room, key=lambda w: (self._at[w].priority, w))
                self._yielding.add(worker)
                self._crew.give_up(worker)

    def _bury(self) -> None:
        for study in [study for study in self._studies if study.over]:
            self._end(study, None)

    def _end(self, study: Study, error: VeldtError | None) -> None:
        self._studies.remove(study)
        for worker in [worker for worker, owner in self._at.items() if owner is study]:
            self._crew.give_up(worker)  # nobody waits for what it is at
        study.leave()
        self._ended(study, error)

    def _try(self, study: Study, act: Callable[..., T], *arguments: Any) -> T | None:
        """What a study does, or its end if it cannot."""
        try:
            return act(*arguments)
        except VeldtError as error:
            self._end(study, error)
            return None

    def _listen(self) -> None:
        timeout_s = POLL_S
        for _ in range(self._crew.size):
            heard = self._crew.poll(timeout_s)
            if heard is None:
                return
            self._take(heard)
            timeout_s = 0.0  # all that has been heard by now goes to the disk together

    def _take(self, heard: News) -> None:
        if isinstance(heard, Lost):
            self._lose(heard)
            return
        worker, news = heard
        study = self._at.get(worker)
        if not isinstance(news, Reported):
            self._at.pop(worker, None)
            self._yielding.discard(worker)
        if study in self._studies and self._try(study, study.take, news):
            study.commit()
            self._crew.pause(worker)

    def _lose(self, lost: Lost) -> None:
        owners = {worker: self._at.pop(worker, None) for worker in lost.undone}
        for study in self._studies:
            segments = [lost.undone[w] for w, owner in owners.items() if owner is study]
            study.lose(self._crew.lost, lost.workers, segments)


def conduct(
    study: Study, crew: Crew, stop: Callable[[], bool] = lambda: False, inherited: bool = False
) -> dict[str, Any]:
    """One study, to its summary.

    Raises:
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """

    def ended(study: Study, error: VeldtError | None) -> None:
        if error is not None:
            raise error

    Coordinator(crew, stop, lambda: ([study], False), ended, inherited).run()
    return study.summary(crew.ranks)
