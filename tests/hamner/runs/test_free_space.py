"""Free disk space is asked where a folder lies, or will lie."""

import pytest

from hamner.config.errors import BadInput
from hamner.runs.disk import check_free_space
from hamner.runs.files import free_gib


def test_a_run_that_fits_is_let_through_before_its_folder_exists(tmp_path):
    check_free_space(tmp_path / "not" / "yet" / "there", 0.0, "the files", "make room")


def test_one_that_does_not_fit_is_refused_with_sizes_place_and_remedy(tmp_path):
    needed = free_gib(tmp_path)[1] + 1000
    with pytest.raises(BadInput) as error:
        check_free_space(tmp_path / "not" / "yet" / "there", needed, "the files", "make room")
    (problem,) = error.value.problems
    for part in ("the files", f"{needed:.1f} GiB", f"{tmp_path} has", "make room"):
        assert part in problem
