import numpy as np
import pytest

from veldt.platform.means import standard_error


def test_the_error_of_a_mean_is_that_of_the_textbook():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    mean = sum(values) / 4
    variance = sum((value - mean) ** 2 for value in values) / 3
    assert standard_error(values) == pytest.approx((variance / 4) ** 0.5)


def test_equal_values_leave_no_error_whatever_their_sum_rounds_to():
    for count in (3, 97, 100):
        assert standard_error(np.full(count, 0.961)) == 0.0


def test_of_one_value_nothing_can_be_said():
    assert standard_error(np.array([3.0])) is None
    for bad in (np.nan, np.inf):
        assert np.isnan(standard_error(np.array([bad, bad])))
