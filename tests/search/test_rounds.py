"""Searchers made of thoughts: what is asked, what is known, when it is over."""

from veldt.search.rounds import IDLE, Rounds


def points(*values):
    return [{"x": value} for value in values]


def once(thoughts):
    """The first descent; the others think of nothing."""
    return lambda begun: (thought for thought in ()) if begun else thoughts()


def drained(searcher):
    found = []
    while (question := searcher.ask()) is not None:
        found.append(question)
    return found


def test_a_round_is_answered_whole_and_what_is_known_is_not_asked_again():
    heard = []

    def thoughts():
        heard.append((yield points(1, 2, 1)))
        heard.append((yield points(2, 1)))
        heard.append((yield points(3, 2)))

    searcher = Rounds(10, once(thoughts))
    asked = drained(searcher)
    assert [q.point["x"] for q in asked] == [1, 2] and not searcher.done
    searcher.tell(1, None)
    assert not heard and searcher.ask() is None
    searcher.tell(0, 5.0)
    assert heard == [[5.0, float("-inf"), 5.0], [float("-inf"), 5.0]]
    (last,) = drained(searcher)
    assert (last.number, last.point) == (2, {"x": 3}) and not searcher.done
    searcher.tell(2, 7.0)
    assert heard[2:] == [[7.0, float("-inf")]] and searcher.done and searcher.ask() is None


def test_a_later_answer_has_no_part_in_it():
    def thoughts():
        scores = yield points(1, 2)
        yield points(3 if scores == [1.0, 2.0] else 4)

    searcher = Rounds(10, once(thoughts))
    drained(searcher)
    searcher.tell(0, 1.0, 0.1)
    searcher.tell(0, 9.0, 1.0)
    searcher.tell(1, 2.0, 0.1)
    assert searcher.ask().point == {"x": 3}
    searcher.tell(1, 9.0, 1.0)
    assert not searcher.done


def test_it_ends_in_the_middle_of_a_round_when_there_are_no_more_trials():
    def thoughts():
        yield points(1, 2, 3)
        raise AssertionError("it was never answered")

    searcher = Rounds(2, once(thoughts))
    assert len(drained(searcher)) == 2 and not searcher.done
    searcher.tell(0, 1.0)
    searcher.tell(1, 1.0)
    assert searcher.done


def test_it_begins_anew_until_nothing_is_new_any_more():
    begun = []

    def descent(number):
        begun.append(number)
        yield points(number // IDLE)  # the same so many times over
        yield []

    searcher = Rounds(3, descent)
    for number in range(2):
        (question,) = drained(searcher)
        assert question.point == {"x": number} and not searcher.done
        searcher.tell(number, 1.0)
    assert begun == list(range(2 * IDLE + 1))

    def stuck(number):
        begun.append(number)
        yield points(1)

    begun.clear()
    searcher = Rounds(10, stuck)
    drained(searcher)
    searcher.tell(0, 1.0)
    assert searcher.done and searcher.ask() is None and len(begun) == IDLE + 1


def test_one_and_true_are_two_points():
    def thoughts():
        yield points(1, True, 1.0)

    assert len(drained(Rounds(10, once(thoughts)))) == 3


def test_thoughts_may_begin_with_nothing_and_be_nothing():
    def late():
        yield []
        yield points(1)

    assert len(drained(Rounds(10, once(late)))) == 1
    assert Rounds(10, lambda begun: (thought for thought in ())).done
