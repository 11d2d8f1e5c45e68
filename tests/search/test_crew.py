"""What a coordinator's crew makes of ranks that die; real ones are killed in tests/launch."""

from veldt.platform.errors import RankLost
from veldt.search.crew import Hands, Lost, Seat
from veldt.search.trial import Job, Outcome

# Rank 0 coordinates; its own supervisor is left out.


class Mortal:
    """Ranks of which some die at the next message; the survivors' seats are made up."""

    def __init__(self, size):
        self.rank, self.size, self.lost = 0, size, 0
        self.sent, self.dying, self.seats = [], [], [Seat(rank) for rank in range(size)]
        self.waiting = []

    def send(self, to, message):
        if self.dying:
            raise RankLost("a rank died")
        self.sent.append((self.seats[to].worker, message))
        if "job" in message:
            job = Job(**message["job"])
            self.seats[to].task = job.task

    def receive(self, timeout_s):
        return self.waiting.pop(0) if self.waiting else None

    def regroup(self):
        self.seats = [seat for seat in self.seats if seat.worker not in self.dying]
        self.lost += len(self.dying)
        self.size, self.dying = len(self.seats), []

    def gather(self, data):
        return [seat.pack() for seat in self.seats]


def job(segment, attempt=0):
    return Job("x", "study", {}, {}, 0, "folder", segment=segment, attempt=attempt)


def heard(crew):
    found = []
    while (news := crew.poll(0.0)) is not None:
        found.append(news)
    return found


def test_a_job_for_one_who_has_just_died_is_undone():
    """Two jobs are given; at the first it comes out that the second one's worker is dead."""
    ranks = Mortal(4)
    crew = Hands([], ranks)
    assert crew.idle() == [1, 2, 3]
    ranks.dying = [2]
    crew.start(1, job(10))
    crew.start(2, job(11))
    crew.start(3, job(12))
    news = heard(crew)
    assert all(isinstance(one, Lost) for one in news)
    assert sorted(s for one in news for s in one.undone.values()) == [10, 11]
    assert [w for one in news for w in one.workers] == [2]
    assert crew.idle() == [1] and crew.under_way == {3: ("study", 12, 0)}
    assert [worker for worker, _ in ranks.sent] == [3]
    crew.pause(2)  # nobody there; nothing happens
    crew.give_up(2)
    assert heard(crew) == []


def test_what_others_are_at_goes_on():
    ranks = Mortal(4)
    crew = Hands([], ranks)
    for worker, segment in ((1, 10), (2, 11), (3, 12)):
        crew.start(worker, job(segment))
    ranks.dying = [1]
    ranks.seats[3].outcome = Outcome(12, 5.0)  # sent, and lost on the way
    crew.pause(2)
    news = heard(crew)
    assert news == [(3, Outcome(12, 5.0)), Lost([1], {1: 10})]
    assert crew.under_way == {2: ("study", 11, 0)} and crew.idle() == [3]


def test_a_new_coordinator_hears_what_the_old_one_had_not():
    ranks = Mortal(3)
    seats = [Seat(4), Seat(2, ("study", 7, 1), Outcome(7, 1.0, attempt=1)), Seat(5)]
    seats[2].task = ("study", 8, 0)
    ranks.seats = seats
    crew = Hands([], ranks, seats)
    # Until it is heard the job is under way, so that whose it is can be found.
    assert crew.under_way == {2: ("study", 7, 1), 5: ("study", 8, 0)} and crew.idle() == []
    assert heard(crew) == [(2, Outcome(7, 1.0, attempt=1))]
    assert crew.under_way == {5: ("study", 8, 0)} and crew.idle() == [2]
