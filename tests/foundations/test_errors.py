"""Errors a user can correct are one sentence; all others keep their traceback."""

import pytest
from gymnasium.error import ResetNeeded

from foundations.errors import one_sentence


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, ImportError, ResetNeeded])
def test_what_a_user_can_correct_is_one_line_and_exit_code_1(kind, capsys):
    with pytest.raises(SystemExit) as left, one_sentence():
        raise kind("n must be\n  a whole number")
    assert left.value.code == 1
    assert capsys.readouterr().err == "error: n must be a whole number\n"


def test_other_errors_pass_and_results_too():
    @one_sentence()
    def divide(one, other):
        return one / other

    assert divide(6, 3) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
