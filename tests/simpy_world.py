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
        env.process(self.serve())

    def serve(self):
        """Give cores to the head of the queue, and to nobody before it has them."""
        while True:
            job = yield self.line.get()
            yield self.cores.get(job.n_cores)
            while not self.is_up:
                yield self.repaired
            job.go.succeed()

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
        self.process = world.env.process(self.live(float(jobs.time[i])))

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
            (float(link[h][self.at]), -h) for h in range(len(link))
            if self.originals[h] or sites[h].cache.has(self.dataset, self.nbytes)
        ]  # fmt: skip
        rate, minus_source = max(rates)
        self.source = -minus_source
        is_copy = not self.originals[self.source]
        cache = sites[self.source].cache
        with cache.reading(self.dataset) if is_copy else nullcontext():
            with site.channels.request() as channel:
                yield channel
                yield self.world.env.timeout(self.size / min(rate, site.channel_rate))

    def run(self, site, attempt):
        """Queue, run once, free the cores; returns how that ended."""
        env, chance = self.world.env, self.world.chance
        self.go = env.event()
        site.line.put(self)
        yield self.go
        self.start, self.attempts, self.is_running = env.now, attempt + 1, True
        self.first_start = self.start if attempt == 0 else self.first_start
        length, outcome = self.work / (self.n_cores * site.power), "finished"
        if chance.attempt(self.i, attempt) < site.failure_rate:
            length, outcome = length * chance.cut(self.i, attempt), "site failure"
        elif chance.payload(self.i):
            outcome = "failed"
        try:
            yield env.timeout(length)
        except simpy.Interrupt:
            outcome = "site failure"
        self.is_running = False
        site.cores.put(self.n_cores)
        return outcome

    def finish(self, state):
        self.state, self.end = state, self.world.env.now


class World:
    """All sites and jobs; `jobs` in order of arrival, `actions` their sites (-1 rejects)."""

    def __init__(self, catalogue, jobs, actions, outages, chance):
        self.env = simpy.Environment(initial_time=min(0.0, float(jobs.time[0])))
        self.jobs, self.link, self.chance = jobs, catalogue.link, chance
        self.sites = [Site(self.env, catalogue, s) for s in range(catalogue.n_sites)]
        for site, times in zip(self.sites, outages, strict=True):
            self.env.process(site.suffer([float(t) for t in times if t < math.inf]))
        self.placed = [Job(self, i, int(s)) for i, s in enumerate(actions)]
        self.env.run()
