"""metrics.temporal: rhythms by hand, Poisson laws, and scipy's numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from metrics import evaluate
from metrics.temporal import dispersion, hours, ks, peak, site_weeks, temporal, weekdays, whole_days


def stream(n=6_000, weeks=6, seed=0, shift=0.0):
    """Busy by day and on weekdays, in bursts."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 7 * weeks, 20 * n)
    keep = rng.random(20 * n) < (1 + np.cos(2 * np.pi * (t - 0.6))) * np.where(t % 7 < 5, 0.4, 0.1)
    t = (t[keep][:n] + shift) % (7 * weeks)
    site = np.where(rng.random(n) < t / (7 * weeks), "BNL", "CERN")
    return pd.DataFrame({"creationtime": t, "computingsite": pd.Categorical(site)})


def test_profiles_count_from_a_monday_midnight():
    days = np.array([0.0, 0.5, 1.999, 6.0, 7 + 13.5 / 24])
    assert np.flatnonzero(hours(days)).tolist() == [0, 12, 13, 23]
    assert weekdays(days).tolist() == [3, 1, 0, 0, 0, 0, 1]


def test_times_before_the_first_monday_wrap_around():
    assert hours(np.array([-1 / 24]))[23] == 1 and weekdays(np.array([-0.5]))[6] == 1
    assert hours(np.array([np.nextafter(1.0, 0)]))[23] == 1


def test_the_peak_is_one_for_a_clock_and_vanishes_for_uniform_times():
    assert peak(np.arange(50) + 0.3, 1.0) == pytest.approx(1)
    assert peak(np.random.default_rng(0).uniform(0, 70, 10_000), 1.0) < 0.03


def test_the_peak_is_the_periodogram_written_out():
    t = stream(400)["creationtime"].to_numpy()
    assert peak(t, 1 / 7) == pytest.approx(abs(np.mean(np.exp(2j * np.pi * t / 7))), abs=1e-9)


def test_dispersion_by_hand():
    days = np.array([0.1, 0.2, 0.3, 1.1, 2.5, 2.6])  # 3, 1, 2 a day: mean 2, variance 1
    assert dispersion(days, 24, (0.0, 3.0)) == pytest.approx((1 / 2 - 1) / 2)
    assert dispersion(np.append(days, 9.0), 24, (0.0, 3.0)) == pytest.approx((1 / 2 - 1) / 2)
    assert np.isnan(dispersion(days, 168, (0.0, 3.0)))


def test_dispersion_of_a_poisson_stream_is_zero_and_thinning_leaves_a_burst_as_it_is():
    rng = np.random.default_rng(1)
    assert abs(dispersion(rng.uniform(0, 500, 50_000), 6, (0.0, 500.0))) < 0.005
    burst = np.repeat(rng.uniform(0, 500, 500), 100)
    whole, thin = (dispersion(t, 6, (0.0, 500.0)) for t in (burst, rng.permutation(burst)[:10_000]))
    assert whole == pytest.approx(thin, rel=0.1) and whole > 0.5


def test_the_gap_distance_is_that_of_scipy():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 30, 200).astype(float), rng.integers(0, 40, 151).astype(float)
    assert ks(x, y) == pytest.approx(ks_2samp(x, y).statistic, abs=1e-12)
    assert np.isnan(ks(x, x[:0]))


def test_site_and_week_are_compared_as_pairs():
    a, b = stream(500, seed=3), stream(500, seed=4)
    tables = [
        pd.crosstab(t["computingsite"].astype(str), t["creationtime"] // 7)
        .reindex(index=["BNL", "CERN"], columns=np.arange(6.0), fill_value=0)
        .to_numpy()
        .ravel()
        for t in (a, b)
    ]
    value = site_weeks(
        a["creationtime"].to_numpy(),
        a["computingsite"],
        b["creationtime"].to_numpy(),
        b["computingsite"],
    )
    assert value == pytest.approx(jensenshannon(*tables, base=2) ** 2, abs=1e-9)


def test_a_site_never_seen_in_train_is_scored():
    a, b = stream(300), stream(300, seed=1).assign(computingsite="nowhere")
    assert temporal(a, b)["site x week JSD"] == pytest.approx(1)


def test_both_tables_are_drawn_to_one_n():
    train = stream(6_000)
    alike = temporal(train, stream(1_500, seed=5))
    assert alike["gap KS"] < 0.06
    assert temporal(train, train)["gap KS"] == 0


def test_a_shift_of_six_hours_is_seen_in_the_hours_and_not_in_the_weekly_peak():
    train = stream()
    honest, moved = temporal(train, stream(seed=6)), temporal(train, stream(seed=6, shift=0.25))
    assert moved["hour JSD"] > 20 * honest["hour JSD"]
    assert moved["day peak"] == pytest.approx(honest["day peak"], abs=0.02)


def test_times_drawn_evenly_lose_their_rhythm():
    train = stream()
    flat = train.assign(creationtime=np.random.default_rng(7).uniform(0, 42, len(train)))
    found = temporal(train, flat)
    assert found["day peak"] < 0.1 and found["week peak"] < 0.2
    assert found["dispersion 6h"] < 0.1 * temporal(train, train)["dispersion 6h"]


def test_train_alone_says_which_days_count():
    assert whole_days(np.array([3.2, 9.9, 4.0])) == (3.0, 10.0)


def test_it_is_left_out_without_times_and_refused_where_asked_for():
    tables = [stream(60, seed=s).rename(columns={"creationtime": "t"}) for s in (0, 1, 2)]
    found = evaluate(*tables, target=None, n_seeds=1)
    assert not any(name in found.floor.values for name in ("hour JSD", "gap KS"))
    with pytest.raises(ValueError, match="temporal needs a numerical column 'creationtime'"):
        evaluate(*tables, target=None, only=["temporal"])


def test_times_as_words_are_no_times_and_times_in_seconds_do_not_fill_the_memory():
    words = [stream(60, seed=s).assign(creationtime="monday") for s in (0, 1, 2)]
    assert "hour JSD" not in evaluate(*words, target=None, n_seeds=1).floor.values
    seconds = np.random.default_rng(8).uniform(0, 1.7e9, 500)
    assert np.isfinite(dispersion(seconds, 1, whole_days(seconds)))


def test_without_sites_the_other_numbers_remain():
    tables = [stream(200, seed=s)[["creationtime"]] for s in (0, 1, 2)]
    found = evaluate(*tables, target=None, only=["temporal"])
    assert np.isnan(found.floor.values["site x week JSD"])
    assert np.isfinite(found.floor.values["hour JSD"])


@pytest.mark.parametrize("h", [1, 6, 24])
def test_dispersion_is_that_of_the_counts_written_out(h):
    t = stream(2_000)["creationtime"].to_numpy()
    count = np.histogram(t, np.arange(0, 42 * 24 + 1, h) / 24)[0]
    expected = (count.var(ddof=1) / count.mean() - 1) / count.mean()
    assert dispersion(t, h, (0.0, 42.0)) == pytest.approx(expected, rel=1e-9)


def test_weeks_beyond_whole_numbers_are_told_apart():
    sites = pd.Series(["a", "b"] * 2, name="computingsite")
    far = np.array([1e300, 1e300, 2e299, 2e299])
    assert site_weeks(far, sites, far, sites) == 0
    assert site_weeks(far, sites, far[::-1], sites) == 0
    assert site_weeks(far, sites, 2 * far, sites) == pytest.approx(1)
