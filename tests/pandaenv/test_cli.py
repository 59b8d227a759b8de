"""The console commands on small files: what they print, write, and how they refuse."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

import generators
import pandaenv
from generators.tvae import TVAE
from pandaenv import cli, records
from tests.generators import contracts
from tests.pandaenv.records.raw_dump import (
    SECRETS,
    UNREADABLE_LINES,
    random_records,
    raw_table,
    with_bad_rows,
    write_dump,
)

RAW, DROPPED = with_bad_rows(raw_table(random_records(200)))


def run(*words) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    dump = write_dump(RAW, folder / "dump.csv", garbage=True)
    code, out, err = run("ingest", dump, "--out", folder / "records")
    assert (code, err) == (0, "")
    return folder / "records", out


def test_ingest_prints_the_cascade_and_writes_four_files(ingested):
    folder, printed = ingested
    assert "valid and complete:             200" in printed
    assert "160 train, 40 test" in printed
    assert all(f"{n:,} {reason}" in printed for reason, n in DROPPED.items())
    assert not any(secret in printed for secret in SECRETS)
    assert {p.name for p in folder.iterdir()} == set(records.OUTPUTS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"zzuser,9876543\n1,2\n", "no PanDA dump, it lacks jobstatus"),
        (b"", "the file is empty"),
        (RAW.assign(prodsourcelabel="zzuser").to_csv().encode(), "nothing is kept of "),
    ],
)
def test_what_is_no_dump_ends_with_one_sentence_and_code_one(content, sentence, tmp_path):
    (tmp_path / "dump.csv").write_bytes(content)
    code, out, err = run("ingest", tmp_path / "dump.csv", "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and sentence in err and err.count("\n") == 1
    assert not any(secret in err for secret in SECRETS)
    assert not (tmp_path / "out").exists()


Stopped = contracts.stopping(TVAE, 4)


def test_a_stopped_training_says_what_is_kept_and_goes_on(ingested, tmp_path):
    folder, _ = ingested
    state = tmp_path / "state"
    words = ["fit", folder, "--steps", "6", "--quiet", "--generator"]
    assert run(*words, "tvae", "--out", tmp_path / "whole")[0] == 0
    stopped = [*words, f"{__name__}:Stopped", "--out", tmp_path / "m"]
    code, _, err = run(*stopped, "--checkpoint", state)
    assert (code, err) == (130, f"stopped; the same command goes on from {state}\n")
    code, _, err = run(*stopped)
    assert (code, err) == (130, "stopped; nothing is kept of it\n")
    assert not list((tmp_path / "m").iterdir())
    assert run(*words, "tvae", "--out", tmp_path / "m", "--checkpoint", state)[0] == 0
    one, other = (generators.load(tmp_path / name).sample(50, seed=1) for name in ("whole", "m"))
    assert one.equals(other)


MINE = """
from generators.smote import SMOTE

class Mine(SMOTE):
    name = "mine"

class Unsaved:
    def fit(self, table): ...
    def sample(self, n): ...
"""


def test_a_generator_of_ones_own_is_fitted_by_its_name(ingested, tmp_path, monkeypatch):
    folder, _ = ingested
    (tmp_path / "of_mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    words = ["fit", folder, "--quiet", "--out", tmp_path / "m", "--generator"]
    code, out, err = run(*words, "of_mine:Mine")
    assert code == 0 and out.startswith("of_mine:Mine: 160 rows"), err
    own = sys.modules["of_mine"].Mine
    assert own.load(tmp_path / "m").sample(9, seed=1).shape == (9, 9)
    with pytest.raises(ValueError, match="unknown generator 'mine'"):  # a file imports no code
        generators.load(tmp_path / "m")
    code, _, err = run(*words, "of_mine:Unsaved")
    assert (
        code == 1 and err == "error: of_mine:Unsaved must have the methods save; save is missing\n"
    )


def test_fit_sample_and_evaluate_follow_each_other(ingested, tmp_path):
    folder, _ = ingested
    code, out, err = run("fit", folder, "--out", tmp_path / "m", "--generator", "smote", "--quiet")
    assert code == 0 and out.startswith("smote: 160 rows"), err
    code, out, err = run("sample", tmp_path / "m", 100, "--out", tmp_path / "s.parquet")
    assert code == 0 and out.startswith("100 rows"), err
    direct = generators.load(tmp_path / "m").sample(100, seed=0)
    assert len(records.read(tmp_path / "s.parquet")) == 100
    assert pd.read_parquet(tmp_path / "s.parquet")["workload"].equals(direct["workload"])
    (tmp_path / "file").touch()
    code, _, err = run("fit", folder, "--out", tmp_path / "file", "--generator", "smote", "--quiet")
    assert code == 1 and "a model is saved in a folder" in err
    words = ["evaluate", folder, tmp_path / "s.parquet", folder, "--quiet", "--seeds", 1]
    words += ["--resume", tmp_path / "kept", "--out", tmp_path / "r.json"]
    code, out, err = run(*words, "--only", "WD", "--only", "JSD")
    assert code == 0 and "WD" in out, err
    assert json.loads((tmp_path / "r.json").read_text())
    (tmp_path / "r").mkdir()
    code, _, err = run(*words[:-1], tmp_path / "r", "--only", "WD")
    assert code == 1 and "r is a folder" in err
    assert not list(tmp_path.glob("*.part"))


def test_play_prints_one_line_an_episode(ingested, tmp_path):
    table = tmp_path / "jobs.parquet"
    records.write(random_records(3_000), table)
    words = ["play", "PandaSiteAllocationTier1-v0", "--workload", table, "--jobs", 20]
    code, out, err = run(*words, "--rate", 200, "--policy", "random", "--episodes", 2)
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == ["random seed 0", "random seed 1"]
    episodes = printed_json(*words, "--rate", 200, "--policy", "random", "--episodes", 2)
    assert [(each["policy"], each["seed"]) for each in episodes] == [("random", 0), ("random", 1)]
    for each, line in zip(episodes, out.splitlines(), strict=True):
        assert f"return {each['return']:.1f}, flow {each['flow']:.3f}, " in line


def test_what_is_printed_as_a_table_is_printed_as_json_too(ingested, tmp_path):
    folder, _ = ingested
    dump = write_dump(RAW, tmp_path / "dump.csv", garbage=True)
    found = printed_json("ingest", dump, "--check")
    assert found["kept"] == 200 and sum(found["sites"].values()) == 200
    unreadable = {"unreadable line": len(UNREADABLE_LINES)}
    assert found["dropped"] == {reason: n for reason, n in DROPPED.items() if n} | unreadable
    cascade = printed_json("ingest", dump, "--out", tmp_path / "r")
    assert cascade == json.loads((tmp_path / "r" / "cascade.json").read_text())
    table = folder / "test.parquet"
    scores = printed_json("evaluate", folder, table, table, "--quiet", "--seeds", 1, "--only", "WD")
    assert scores["n_seeds"] == 1 and "WD" in scores["synthetic"]["values"]
    trace = tmp_path / "trace.csv"
    trace.write_text("time,run,cores,site\n0,60,1,a\n90,60,1,b\n90,-1,1,b\n")
    pairs = [
        word for name in ("time", "run", "cores", "site") for word in ("--column", f"{name}={name}")
    ]
    imported = printed_json("import", trace, "--out", tmp_path / "i", *pairs)
    assert (imported["read"], imported["jobs"], imported["sites"]) == (3, 2, 2)
    assert sum(imported["dropped"].values()) == 1


def printed_json(*words):
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_version_is_printed_without_a_command():
    assert run("--version") == (0, f"pandaenv {pandaenv.__version__}\n", "")


def test_a_shell_completes_commands():
    program = "import sys; sys.argv = ['pandaenv']; from pandaenv.cli import app; app()"
    asked = {"_PANDAENV_COMPLETE": "complete_bash", "COMP_WORDS": "pandaenv ev", "COMP_CWORD": "1"}
    shell = [sys.executable, "-c", program]
    result = subprocess.run(shell, capture_output=True, text=True, env=os.environ | asked)
    assert result.stdout.split() == ["evaluate"]


def test_info_lists_the_known_names():
    code, out, _ = run("info")
    known = json.loads(out)
    assert code == 0 and "smote" in known["generators"]
    assert "PandaSiteAllocation-v0" in known["environments"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fit", "nowhere.csv", "--out", "m"], "nowhere.csv does not exist"),
        (["fit", "nowhere.csv", "--out", "m", "--generator", "gan"], "unknown generator 'gan'"),
        (["fit", "a.csv", "--out", "m", "--budget", "9", "--steps", "5"], "not both: got 9 and 5"),
        (["sample", "nowhere", "5", "--out", "s.csv"], "nowhere"),
        (["sample", "tabddpm", "5", "--out", "s.txt"], "must end in .parquet, .csv or .csv.gz"),
        (["sample", "tabddpm", "5", "--out", "."], ". is a folder"),
        (["evaluate", "a.csv", "b.csv", "c.csv"], "a.csv does not exist"),
        (["play", "--policy", "nobody"], "unknown policy 'nobody'"),
        (["play", "NoSuchEnv-v0"], "unknown environment 'NoSuchEnv-v0'; known: PandaSite"),
        (["play", "CartPole-v1"], "unknown environment 'CartPole-v1'; known: PandaSite"),
        (["play", "--workload", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_wrong_arguments_end_with_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert code == 1 and sentence in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_help_loads_no_heavy_library():
    code = "import sys; from pandaenv import cli; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(loaded.stdout.split()) & {"torch", "pandas", "numba", "duckdb", "sklearn"}


def test_evaluate_leaves_parquet_beyond_memory_on_disk(ingested, tmp_path):
    folder, _ = ingested
    words = ["evaluate", folder, folder / "test.parquet", folder / "test.parquet", "--quiet"]
    words += ["--seeds", 1, "--only", "WD", "--only", "JSD", "--only", "DCR"]
    code, whole, err = run(*words)
    assert code == 0, err
    code, partly, err = run(*words, "--in-memory", 100)  # train has 160 rows, test 40
    assert (code, partly) == (0, whole), err
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    words[1] = tmp_path / "t.parquet"
    code, _, err = run(*words)
    assert code == 1 and "t.parquet: no readable Parquet table" in err and err.count("\n") == 1


def test_fit_learns_large_parquet_files_where_they_are(ingested, tmp_path):
    train = pd.read_parquet(ingested[0] / "train.parquet")
    (tmp_path / "years").mkdir()
    for year, rows in ((2023, train[:90]), (2024, train[90:])):
        rows.to_parquet(tmp_path / "years" / f"{year}.parquet", index=False)
    words = ["--generator", "tabar", "--steps", 3, "--quiet", "--in-memory", 100]
    for name, table in (("whole", ingested[0]), ("parts", tmp_path / "years")):
        code, out, err = run("fit", table, "--out", tmp_path / name, *words)
        assert code == 0 and out.startswith("tabar: 160 rows, 3 steps"), err
    whole, parts = (generators.load(tmp_path / name) for name in ("whole", "parts"))
    assert whole.sample(50).equals(parts.sample(50))
    bad = train.assign(corecount=1).drop(columns="workload")
    bad.to_parquet(tmp_path / "years" / "2025.parquet", index=False)
    code, _, err = run("fit", tmp_path / "years", "--out", tmp_path / "no", *words)
    assert code == 1 and "2025.parquet lacks 'workload', which 2023.parquet has" in err
    assert err.count("\n") == 1 and not (tmp_path / "no").exists()
