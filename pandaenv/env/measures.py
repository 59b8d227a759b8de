"""What is measured of a job: its flow time, its wait or its slowdown, from the times of its stages.

In: when a job was submitted, when its last attempt started and ended, in s. Out: a number that the
agent wants small. LOSS comes on top for a job lost or rejected, so that failing fast never pays.
`accrued` is not measured of a job: it pays as time passes, minus the agent's jobs in the system
integrated over time.

A new measure is a function below, a line in `job_measure` and its number in MEASURES.
"""

from pandaenv.kernels import part

FLOW_TIME, SLOWDOWN, WAIT, ACCRUED = range(4)
RELATIVE = "relative"
"""Flow time, told from what the site would cost that is best by the true work of all jobs."""
MEASURES = {
    "flow_time": FLOW_TIME,
    "slowdown": SLOWDOWN,
    "wait": WAIT,
    "accrued": ACCRUED,
    RELATIVE: FLOW_TIME,
}
LOSS = 10.0
"""Mean service times that a lost or rejected job counts beside the time it spent."""
TAU_S = 600.0
"""Runs shorter than this count as this long in a slowdown, s."""


@part
def job_measure(rules, is_lost, submit, start, end):
    """The measure of a job by its times in s; one that was rejected starts when it ends.

    `rules.unit` is m, the workload's mean service time in s.
    """
    loss = LOSS if is_lost else 0.0
    if rules.measure == SLOWDOWN:
        return loss + slowdown(submit, start, end)
    if rules.measure == WAIT:
        return loss + wait(submit, start, rules.unit)
    return loss + flow_time(submit, end, rules.unit)


@part
def flow_time(submit, end, unit):
    return (end - submit) / unit


@part
def wait(submit, start, unit):
    return (start - submit) / unit


@part
def slowdown(submit, start, end):
    return max(1.0, (end - submit) / max(end - start, TAU_S))
