"""The grid once more as SimPy processes, written from what `pandaenv.simulator` and `.caches` say.

In: a catalogue, a stream of jobs, the site of each job, outages, and what chance decides of each
job and attempt. Out: the stages of every job. Nothing here keeps a heap, a channel's time or a
count of free cores: transfers queue for a `simpy.Resource`, cores are a `simpy.Container`, a cache
is an ordered dictionary, each job is a process that an outage interrupts. SimPy's ties differ, so
worlds should have none.
"""

import math
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import simpy

N_CHANNELS, MAX_ATTEMPTS, CACHE_SHARE = 8, 3, 0.17


@dataclass
class Chance:
    """What is drawn: functions of the job's index, and of its attempt where one is named."""

    attempt: callable  # (job, attempt) -> number in [0, 1) that must not be below the failure rate
    cut: callable  # (job, attempt) -> share of its length after which a failing attempt ends
    payload: callable  # (job) -> whether its own payload fails it


class Cache:
    """Copies of at most so many bytes, in order of last use; a list [bytes, readers] for each."""

    def __init__(self, room):
        self.room, self.copies = room, OrderedDict()

    def has(self, dataset, nbytes):
        return self.copies.get(dataset, [0, 0])[0] >= nbytes

    @contextmanager
    def reading(self, dataset):
        self.copies[dataset][1] += 1
        yield
        self.copies[dataset][1] -= 1
        self.copies.move_to_end(dataset)

    def offer(self, dataset, nbytes):
        """Take a copy in, if it fits beside those that are read; says whether there is one now."""
        if self.has(dataset, nbytes):
            return True
        rest = {d: copy for d, copy in self.copies.items() if d != dataset}
        if nbytes + sum(n for n, readers in rest.values() if readers) > self.room:
            return False
        idle = [d for d, (_, readers) in rest.items() if not readers]
        while nbytes + sum(n for n, _ in rest.values()) > self.room:
            del rest[idle[0]], self.copies[idle.pop(0)]
        self.copies.setdefault(dataset, [0, 0])[0] = nbytes
        return True


class Site:
    """A place with cores, one first-come queue for them, and channels for input."""

    def __init__(self, env, catalogue, s):
        self.env, self.n_cores = env, int(catalogue.cores[s])
        self.power, self.failure_rate = float(catalogue.power[s]), float(catalogue.failure_rate[s])
        self.channel_rate = float(catalogue.ingress[s]) / N_CHANNELS
        self.channels = simpy.Resource(env, N_CHANNELS)
        self.cores = simpy.Container(env, self.n_cores, self.n_cores)
        self.line = simpy.Store(env)
        self.cache = Cache(math.floor(float(catalogue.disk[s]) * CACHE_SHARE))
        self.here = []  # jobs in order of placement
        self.is_up, self.repaired = True, env.event()
        self.slow, self.fails_after = (math.inf, math.inf, 1.0), math.inf
        env.process(self.serve())

    def serve(self):
        """Give cores to the head of the queue, and to nobody before it has them."""
        while True:
            job = yield self.line.get()
            yield self.cores.get(job.n_cores)
            while not self.is_up:
                yield self.repaired
            job.go.succeed()

    def move(self, seconds):
        """A transfer that takes so long but while links are degraded."""
        begin, end, factor = self.slow
        while seconds > 0:
            now = self.env.now
            is_slow, change = (begin <= now < end), (begin if now < begin else end)
            if now >= end or seconds <= (change - now) * (factor if is_slow else 1.0):
                yield self.env.timeout(seconds / (factor if is_slow else 1.0))
                return
            yield self.env.timeout(change - now)
            seconds -= (change - now) * (factor if is_slow else 1.0)

    def join(self, job):
        self.line.put(job)

    def leave(self, job):
        self.cores.put(job.n_cores)

    def suffer(self, times):
        """Begin and end of outages in turn."""
        for begin, end in zip(times[::2], times[1::2], strict=True):
            yield self.env.timeout(begin - self.env.now)
            self.is_up = False
            for job in self.here:
                if job.is_running:
                    job.process.interrupt()
            yield self.env.timeout(end - self.env.now)
            self.is_up, repaired, self.repaired = True, self.repaired, self.env.event()
            repaired.succeed()


class BackfilledSite(Site):
    """The same where those behind may go first if that does not delay the first."""

    may_overtake = True

    def __init__(self, env, catalogue, s):
        self.queue, self.ends, self.n_held, self.others = [], {}, 0, None
        super().__init__(env, catalogue, s)

    def share(self, held, ahead, latency):
        """Others hold cores, and their own queue is served first until a time that bursts move."""
        self.others, self.served, self.latency = True, -math.inf, latency
        self.env.process(self.follow(held, self.hold))
        self.env.process(self.follow(ahead, self.queue_others))

    def follow(self, steps, act):
        for time, value in steps:
            if time > self.env.now:
                yield self.env.timeout(time - self.env.now)
            act(value)

    def hold(self, n_held):
        self.n_held = n_held
        self.dispatch()

    def queue_others(self, until):
        self.served = until

    def await_turn(self, job):
        """A pilot comes for the job when others have been served."""
        if self.others:
            yield self.env.timeout(max(self.served - self.env.now, 0.0) + self.latency)
        job.has_turn = True
        self.dispatch()

    def serve(self):
        while True:
            yield self.repaired
            self.dispatch()

    def join(self, job):
        self.queue.append(job)
        job.has_turn = False
        self.env.process(self.await_turn(job))

    def leave(self, job):
        del self.ends[job]
        self.dispatch()

    def n_free(self, time):
        """Cores free at a time to come if nothing starts and others hold what they hold."""
        taken = sum(job.n_cores for job, end in self.ends.items() if end > time)
        return self.n_cores - self.n_held - taken

    def go(self, job):
        self.queue.remove(job)
        self.ends[job] = self.env.now + job.length
        job.go.succeed()

    def dispatch(self):
        now = self.env.now
        while self.is_up and self.queue and self.may_go(self.queue[0]):
            self.go(self.queue[0])
        if not (self.is_up and self.queue and self.queue[0].has_turn and self.may_overtake):
            return
        first = self.queue[0]
        times = [t for t in self.ends.values() if self.n_free(t) >= first.n_cores]
        start = min(times, default=math.inf)
        for job in self.queue[1:]:
            left = self.n_free(start) - first.n_cores  # of those that run on then, all counted
            is_harmless = now + job.length <= start or job.n_cores <= left
            if is_harmless and self.may_go(job):
                self.go(job)

    def may_go(self, job):
        return job.has_turn and job.n_cores <= self.n_free(self.env.now)


class SharedSite(BackfilledSite):
    """A site that others use too, where none may go before the first."""

    may_overtake = False


class Job:
    """One job from its arrival to its end."""

    def __init__(self, world, i, site):
        jobs = world.jobs
        self.world, self.i, self.at = world, i, site
        self.n_cores, self.work = int(jobs.cores[i]), float(jobs.work[i])
        self.nbytes, self.dataset = math.ceil(jobs.nbytes[i]), int(jobs.dataset[i])
        self.originals, self.size = jobs.replicas[self.dataset], float(jobs.nbytes[i])
        self.source, self.attempts, self.is_running, self.state = -1, 0, False, "future"
        self.submit = self.ready = self.first_start = self.start = self.end = math.nan
        self.process = world.env.process(self.live(world.comes(float(jobs.time[i]))))

    def live(self, arrival):
        env = self.world.env
        yield env.timeout(arrival - env.now)
        self.submit = env.now
        if self.at < 0 or self.n_cores > self.world.sites[self.at].n_cores:
            return self.finish("rejected")
        site = self.world.sites[self.at]
        site.here.append(self)
        is_kept = False
        if self.nbytes > 0 and not self.originals[self.at]:
            is_kept = site.cache.has(self.dataset, self.nbytes)
            if not is_kept:
                yield from self.fetch(site)
                is_kept = site.cache.offer(self.dataset, self.nbytes)
        with site.cache.reading(self.dataset) if is_kept else nullcontext():
            self.ready = env.now
            for attempt in range(MAX_ATTEMPTS):
                outcome = yield from self.run(site, attempt)
                if outcome != "site failure":
                    return self.finish(outcome)
        return self.finish("lost")

    def fetch(self, site):
        """Read from the site of the fastest link, the first of these, while it keeps the data."""
        link, sites = self.world.link, self.world.sites
        rates = [
            (float(link[h][self.at]), -h)
            for h in range(len(link))
            if self.originals[h] or sites[h].cache.has(self.dataset, self.nbytes)
        ]
        rate, minus_source = max(rates)
        self.source = -minus_source
        is_copy = not self.originals[self.source]
        cache = sites[self.source].cache
        with cache.reading(self.dataset) if is_copy else nullcontext():
            with site.channels.request() as channel:
                yield channel
                yield from site.move(self.size / min(rate, site.channel_rate))

    def run(self, site, attempt):
        """Queue, run once, free the cores; returns how that ended."""
        env, chance = self.world.env, self.world.chance
        self.length, outcome = self.work / (self.n_cores * site.power), "finished"
        if site.fails_after < math.inf:
            self.length, outcome = min(self.length, site.fails_after), "site failure"
        elif chance.attempt(self.i, attempt) < site.failure_rate:
            self.length, outcome = self.length * chance.cut(self.i, attempt), "site failure"
        elif chance.payload(self.i):
            outcome = "failed"
        self.go = env.event()
        site.join(self)
        yield self.go
        self.start, self.attempts, self.is_running = env.now, attempt + 1, True
        self.first_start = self.start if attempt == 0 else self.first_start
        try:
            yield env.timeout(self.length)
        except simpy.Interrupt:
            outcome = "site failure"
        self.is_running = False
        site.leave(self)
        return outcome

    def finish(self, state):
        self.state, self.end = state, self.world.env.now


class World:
    """All sites and jobs; `jobs` in order of arrival, `actions` their sites (-1 rejects)."""

    def __init__(self, catalogue, jobs, actions, troubles, chance, backfill=False, others=None):
        begin, end = (max(float(t), float(jobs.time[0])) for t in troubles.surge[:2])
        self.surge = begin, end, float(troubles.surge[2])
        self.env = simpy.Environment(initial_time=min(0.0, float(jobs.time[0])))
        self.jobs, self.link, self.chance = jobs, catalogue.link, chance
        kind = BackfilledSite if backfill else Site if others is None else SharedSite
        self.sites = [kind(self.env, catalogue, s) for s in range(catalogue.n_sites)]
        rows = zip(troubles.outages, troubles.slow, troubles.fails_after, strict=True)
        for site, (times, slow, fails_after) in zip(self.sites, rows, strict=True):
            self.env.process(site.suffer([float(t) for t in times if t < math.inf]))
            site.slow, site.fails_after = [float(x) for x in slow], float(fails_after)
        for s, site in enumerate(self.sites if others is not None else ()):
            site.share(
                [(float(t), int(n)) for t, n in others.held[s] if t < math.inf],
                [(float(t), float(u)) for t, u in others.ahead[s] if t < math.inf],
                float(others.latency[s]),
            )
        self.placed = [Job(self, i, int(s)) for i, s in enumerate(actions)]
        self.env.run()

    def comes(self, time):
        """When a job comes, of which every second from the surge on passes `factor` times as fast.

        From its begin on, factor * length seconds of the stream go by in length seconds.
        """
        begin, end, factor = self.surge
        if math.isinf(begin):
            return time
        hurried = min(max(time - begin, 0.0), factor * (end - begin))
        return time - hurried + hurried / factor
