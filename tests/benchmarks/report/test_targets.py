"""benchmarks.report.targets: every target finds its number, and says whether it is met."""

from benchmarks.report import targets
from benchmarks.report.targets import Target


def test_a_target_is_met_on_its_side_of_the_bound():
    assert Target("x", (), most=2).met(2) and not Target("x", (), most=2).met(2.1)
    assert Target("x", (), least=2).met(2) and not Target("x", (), least=2).met(1.9)


def test_every_target_of_a_measured_area_has_a_line():
    measured = [a for a in targets.TARGETS if (targets.RESULTS / f"speed-{a}.json").is_file()]
    lines = targets.table()
    for area in measured:
        assert all(f"| {t.words} | {t.bound} |" in lines for t in targets.TARGETS[area])
