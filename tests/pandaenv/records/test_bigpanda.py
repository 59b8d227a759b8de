"""The stream of BigPanDA's JSON, however it is cut."""

import io
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pandaenv.records.bigpanda import JobStream
from pandaenv.records.raw_columns import RAW as COLUMNS

value = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers())
job = st.dictionaries(st.sampled_from([*COLUMNS, "other", "é"]), value, max_size=6)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text draws read tables
@given(st.lists(job | st.integers(), max_size=8), st.integers(1, 40), st.booleans(), st.booleans())
def test_jobs_are_the_same_however_the_stream_is_cut(jobs, chunk, bare, indented):
    document = jobs if bare else {"note": {"jobs": [1]}, "jobs": jobs, "rest": [3.5, "]"]}
    text = json.dumps(document, indent=1 if indented else None)
    stream = JobStream(io.StringIO(text), "dump.json")
    stream.CHUNK, stream.ROWS = chunk, 3
    rows = [row for batch in stream.batches() for row in batch.to_pylist()]
    good = [j for j in jobs if isinstance(j, dict)]
    assert stream.n_unreadable == len(jobs) - len(good)
    assert [[r[n] is None for n in COLUMNS] for r in rows] == [
        [j.get(n) is None for n in COLUMNS] for j in good
    ]
    texts = [(n, v) for j in good for n in COLUMNS if isinstance(v := j.get(n), str)]
    assert [v for _, v in texts] == [
        r[n] for r, j in zip(rows, good, strict=True) for n in COLUMNS if isinstance(j.get(n), str)
    ]


def test_half_a_surrogate_pair_does_not_stop_the_stream():
    stream = JobStream(io.StringIO('[{"jobname": "\\ud800x", "jobstatus": true}]'), "x")
    (batch,) = stream.batches()
    assert batch["jobname"].to_pylist() == ["?x"] and batch["jobstatus"].to_pylist() == ["True"]
