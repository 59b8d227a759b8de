"""A slow plain-Python grid, written from the rules alone, to hold the simulator against.

It imports nothing of the simulator. In: a catalogue, a stream of jobs, a seed, outages. Out: the
stages of every job, and every start in order. Sites keep Python lists and all events lie on one
`heapq`; a run that an outage stopped is left there and passed over.
"""

import heapq
import math
from dataclasses import dataclass, field

N_CHANNELS, MAX_ATTEMPTS, PAYLOAD_SHARE, CACHE_SHARE = 8, 3, 0.5, 0.17
STATUSES = ("finished", "failed", "closed", "cancelled")
M64 = (1 << 64) - 1


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def uniform(*keys):
    z = 0
    for key in keys:
        z = mix(z ^ key)
    return (z >> 11) / 2**53


def hurried(time, begin, end, factor):
    """When a job comes that would come at `time` if the stream did not run faster for a while."""
    if time <= begin:
        return time
    if time <= begin + factor * (end - begin):
        return begin + (time - begin) / factor
    return time - (factor - 1.0) * (end - begin)


def slowed(begin, seconds, start, stop, factor):
    """When `seconds` of work are done that go at a factor of their speed from start to stop."""
    if begin + seconds <= start or begin >= stop:
        return begin + seconds
    left = seconds - max(0.0, start - begin)
    begin = max(begin, start)
    if begin + left / factor <= stop:
        return begin + left / factor
    return stop + (left - (stop - begin) * factor)


@dataclass
class Job:
    index: int
    cores: int
    work: float
    nbytes: float
    dataset: int
    status: str
    turn: float = -math.inf  # may not start before, s
    site: int = -1
    source: int = -1
    reads: object = None  # the Copy it uses
    state: str = "future"
    attempts: int = 0
    submit: float = math.nan
    ready: float = math.nan
    first_start: float = math.nan
    start: float = math.nan
    end: float = math.nan


@dataclass
class Copy:
    nbytes: int
    users: set = field(default_factory=set)  # jobs that read it, here or on their way elsewhere
    last_used: int = 0


@dataclass
class Site:
    cores: int
    power: float
    failure_rate: float
    ingress: float
    cache: int
    copies: dict = field(default_factory=dict)  # data set -> Copy
    placed: list = field(default_factory=list)
    queue: list = field(default_factory=list)
    running: dict = field(default_factory=dict)  # job index -> token of its end event
    free_at: list = field(default_factory=lambda: [-math.inf] * N_CHANNELS)
    up: bool = True
    slow: tuple = (math.inf, math.inf, 1.0)  # from, until, factor
    fails_after: float = math.inf
    held: list = field(default_factory=list)  # (time, cores that others hold from then on)
    ahead: list = field(default_factory=list)  # (time, until when others come first from then on)
    latency: float = 0.0


class Twin:
    def __init__(
        self,
        catalogue,
        jobs,
        seed=0,
        outages=(),
        first=0,
        backfill=False,
        troubles=None,
        others=None,
    ):
        self.backfill = backfill
        columns = zip(jobs.cores, jobs.work, jobs.nbytes, jobs.dataset, jobs.status, strict=True)
        self.jobs = [
            Job(i, int(c), float(w), float(b), int(d), STATUSES[s])
            for i, (c, w, b, d, s) in enumerate(columns, start=first)
        ]
        self.arrivals = [float(t) for t in jobs.time]
        if troubles is not None:
            begin, end = (max(float(t), self.arrivals[0]) for t in troubles.surge[:2])
            self.arrivals = [hurried(t, begin, end, troubles.surge[2]) for t in self.arrivals]
        rows = (catalogue.cores, catalogue.power, catalogue.failure_rate, catalogue.ingress)
        self.sites = [
            Site(int(c), float(p), float(f), float(i), math.floor(float(d) * CACHE_SHARE))
            for c, p, f, i, d in zip(*rows, catalogue.disk, strict=True)
        ]
        self.n_uses = 0
        if troubles is not None:
            outages = troubles.outages
            for site, slow, fails_after in zip(
                self.sites, troubles.slow, troubles.fails_after, strict=True
            ):
                site.slow, site.fails_after = tuple(map(float, slow)), float(fails_after)
        self.link, self.replicas, self.seed = catalogue.link, jobs.replicas, seed
        self.now, self.events, self.tokens, self.n_placed = self.arrivals[0], [], 0, 0
        self.trace, self.first = [], first
        self.expect_outages(outages)
        if others is not None:
            self.expect_others(others)

    def expect_others(self, others):
        """What others do at each site; the queue is looked at whenever they hold more or less."""
        for s, site in enumerate(self.sites):
            held = zip(others.held["time"][s], others.held["cores"][s], strict=True)
            site.held = [(float(t), int(c)) for t, c in held]
            ahead = zip(others.ahead["time"][s], others.ahead["until"][s], strict=True)
            site.ahead = [(float(t), float(u)) for t, u in ahead]
            site.latency = float(others.latency[s])
            for time, _ in site.held:
                if self.now < time < math.inf:
                    self.schedule(time, "look", s)

    def look(self, s, _):
        self.fill(s)

    def expect_outages(self, outages):
        self.switches = [[float(t) for t in times if t < math.inf] for times in outages]
        for s in range(len(self.switches)):
            self.schedule_switch(s, "down")

    def schedule_switch(self, s, kind):
        if self.switches[s]:
            self.schedule(self.switches[s].pop(0), kind, s)

    def schedule(self, time, kind, subject):
        self.tokens += 1
        heapq.heappush(self.events, (time, self.tokens, kind, subject))
        return self.tokens

    def place(self, s):
        job = self.jobs[self.n_placed]
        self.run(self.arrivals[self.n_placed])
        self.now = max(self.now, self.arrivals[self.n_placed])  # a surge's end may round
        self.n_placed += 1
        job.submit, job.site = self.now, s
        if s < 0 or job.cores > self.sites[s].cores:
            job.state, job.end = "rejected", self.now
            return
        self.sites[s].placed.append(job)
        holders = [h for h in range(len(self.sites)) if self.has_data(h, job)]
        nearest = s if s in holders else max(holders, key=lambda h: (self.link[h][s], -h))
        if job.nbytes > 0 and not self.replicas[job.dataset][nearest]:
            self.read(job, self.sites[nearest].copies[job.dataset])
        if nearest == s or job.nbytes == 0:
            self.join(job)
            self.fill(s)
            return
        job.source = nearest
        channels = self.sites[s].free_at
        first = channels.index(min(channels))
        rate = min(float(self.link[job.source][s]), self.sites[s].ingress / N_CHANNELS)
        begin = max(self.now, channels[first])
        channels[first] = slowed(begin, job.nbytes / rate, *self.sites[s].slow)
        job.state, job.end = "moving", channels[first]
        self.schedule(job.end, "moved", job)

    def run(self, until):
        while self.events and self.events[0][0] <= until:
            time, token, kind, subject = heapq.heappop(self.events)
            self.now = max(time, self.now)  # an outage may have begun before the first arrival
            getattr(self, kind)(subject, token)

    def drain(self):
        self.run(math.inf)

    def moved(self, job, _):
        self.stop_reading(job)
        self.cache(job, self.sites[job.site])
        self.join(job)
        self.fill(job.site)

    def has_data(self, s, job):
        copy = self.sites[s].copies.get(job.dataset)
        return self.replicas[job.dataset][s] or (copy and copy.nbytes >= job.nbytes)

    def read(self, job, copy):
        copy.users.add(job.index)
        job.reads = copy

    def stop_reading(self, job):
        if job.reads is not None:
            job.reads.users.remove(job.index)
            self.n_uses += 1
            job.reads.last_used = self.n_uses
        job.reads = None

    def cache(self, job, site):
        """Keep what the job has brought if it fits beside the copies in use, and let it read it."""
        old = site.copies.get(job.dataset)
        if old is not None and old.nbytes >= job.nbytes:
            self.read(job, old)
            return
        others = {d: c for d, c in site.copies.items() if d != job.dataset}
        room = site.cache - sum(c.nbytes for c in others.values() if c.users)
        if math.ceil(job.nbytes) > room:
            return
        copy = site.copies.setdefault(job.dataset, Copy(0))
        copy.nbytes = math.ceil(job.nbytes)
        self.read(job, copy)
        while sum(c.nbytes for c in site.copies.values()) > site.cache:
            unused = [d for d, c in others.items() if d in site.copies and not c.users]
            del site.copies[min(unused, key=lambda d: others[d].last_used)]

    def join(self, job):
        if math.isnan(job.ready):
            job.ready = self.now
        job.state = "queued"
        site = self.sites[job.site]
        site.queue.append(job)
        if site.held:
            before = [until for time, until in site.ahead if time <= self.now]
            job.turn = max([self.now, *before[-1:]]) + site.latency
            self.schedule(job.turn, "look", job.site)

    def fill(self, s):
        site = self.sites[s]
        while site.up and site.queue and self.may_start(site.queue[0], s):
            self.begin(site.queue.pop(0), site)
        if self.backfill and site.up and site.queue and site.queue[0].turn <= self.now:
            self.overtake(s, site)

    def may_start(self, job, s):
        return job.turn <= self.now and job.cores <= self.left(s)

    def left(self, s):
        """Cores that neither a job nor others hold; below 0 while others wait for theirs."""
        before = [cores for time, cores in self.sites[s].held if time <= self.now]
        return self.free(s) - (before[-1] if before else 0)

    def overtake(self, s, site):
        """Start what does not delay the first of the queue, were others to hold what they hold."""
        running = [self.jobs[i - self.first] for i in site.running]

        def free_at(time):
            return self.left(s) + sum(job.cores for job in running if job.end <= time)

        wanted = site.queue[0].cores
        ends = [job.end for job in running if free_at(job.end) >= wanted]
        start = min(ends, default=math.inf)  # infinity: it waits for others
        spare = free_at(start) - wanted
        for job in site.queue[1:]:
            delays = self.now + self.fate_of(job, site)[0] > start
            if not self.may_start(job, s) or (delays and job.cores > spare):
                continue
            spare -= job.cores if delays else 0
            site.queue.remove(job)
            self.begin(job, site)

    def free(self, s):
        site = self.sites[s]
        return site.cores - sum(self.jobs[i - self.first].cores for i in site.running)

    def fate_of(self, job, site):
        """How long the next attempt runs, and how it ends."""
        seconds = job.work / (job.cores * site.power)
        fate = "finished"
        if site.fails_after < math.inf:
            return min(seconds, site.fails_after), "retry"
        if uniform(self.seed, job.index, job.attempts, 0) < site.failure_rate:
            fate = "retry"
            u = uniform(self.seed, job.index, job.attempts, 1)
            seconds = seconds * (u * u)  # u ** 2 is the C library's pow, at times a bit off
        elif job.status in ("closed", "cancelled"):
            fate = "failed"
        elif job.status == "failed" and uniform(self.seed, job.index, 0, 2) < PAYLOAD_SHARE:
            fate = "failed"
        return seconds, fate

    def begin(self, job, site):
        seconds, fate = self.fate_of(job, site)
        job.attempts += 1
        job.state, job.start, job.end = "running", self.now, self.now + seconds
        if job.attempts == 1:
            job.first_start = self.now
        site.running[job.index] = self.schedule(job.end, "ended", (job, fate))
        self.trace.append((self.now, job.index, job.attempts))

    def ended(self, subject, token):
        job, fate = subject
        site = self.sites[job.site]
        if site.running.get(job.index) != token:
            return  # an outage had stopped it
        del site.running[job.index]
        self.after(job, fate)
        self.fill(job.site)

    def after(self, job, fate):
        if fate == "retry" and job.attempts < MAX_ATTEMPTS:
            self.join(job)
            return
        job.state, job.end = ("lost" if fate == "retry" else fate), self.now
        self.stop_reading(job)

    def down(self, s, _):
        self.schedule_switch(s, "up")
        site = self.sites[s]
        site.up = False
        stopped = [job for job in site.placed if job.index in site.running]
        site.running.clear()
        for job in stopped:
            self.after(job, "retry")

    def up(self, s, _):
        self.schedule_switch(s, "down")
        self.sites[s].up = True
        self.fill(s)

    def census(self):
        """(moving, queued, running, free cores) of each site."""
        return [
            (
                sum(job.state == "moving" for job in site.placed),
                len(site.queue),
                len(site.running),
                self.free(s),
            )
            for s, site in enumerate(self.sites)
        ]

    def copies(self):
        """(bytes, users) of each copy by site and data set."""
        return {
            (s, dataset): (copy.nbytes, len(copy.users))
            for s, site in enumerate(self.sites)
            for dataset, copy in site.copies.items()
        }
