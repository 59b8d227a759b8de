"""Files that appear whole or not at all."""

import errno
import hashlib
import os
import re

import pytest

from foundations import files


def test_bytes_and_text_arrive_and_parents_are_made(tmp_path):
    path = files.write(tmp_path / "a" / "b.txt", "mü")
    assert path.read_text(encoding="utf-8") == "mü"
    assert files.write(path, b"\x00").read_bytes() == b"\x00"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_what_fails_half_way_leaves_the_old_file_and_no_draft(tmp_path):
    path = files.write(tmp_path / "b.txt", "old")
    with pytest.raises(RuntimeError), files.whole(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_what_cannot_be_written_is_named_by_its_own_name(tmp_path):
    taken = files.write(tmp_path / "b", "text")
    with pytest.raises(OSError, match=re.escape(f"'{taken / 'c' / 'd.txt'}'")) as error:
        files.write(taken / "c" / "d.txt", "text")
    assert isinstance(error.value, FileExistsError | NotADirectoryError)
    with pytest.raises(OSError, match=r": '/proc/d\.txt'$"):
        files.write("/proc/d.txt", "text")


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError):
        files.write(tmp_path / "b", "text")
    assert (tmp_path / "b").is_dir()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = files.write(tmp_path / "b.txt", "old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, call, full)
        files.write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_a_missing_folder_is_refused_where_parents_are_not_made(tmp_path):
    with pytest.raises(OSError, match="No such file or directory"):
        files.write(tmp_path / "a" / "b.txt", "text", parents=False)
    assert not list(tmp_path.iterdir())


def test_the_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    files.write(tmp_path / "run", "whole")
    for name in (".run.abcdefgh.draft", ".other.abcdefgh.draft", ".run.abcdefgh"):
        files.write(tmp_path / name / "run", "half")
    files.remove_drafts(tmp_path, "run")
    left = {".other.abcdefgh.draft", ".run.abcdefgh", "run"}
    assert {p.name for p in tmp_path.iterdir()} == left
    files.remove_drafts(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == left - {".other.abcdefgh.draft"}


def test_digests_are_those_of_the_bytes(tmp_path):
    a, b = files.write(tmp_path / "a", b"one"), files.write(tmp_path / "b", b"two")
    assert files.digest(a) == hashlib.sha256(b"one").hexdigest()
    assert files.digest_of_all([a, b]) == hashlib.sha256(b"onetwo").hexdigest()
    assert files.digest_of_all([b, a]) != files.digest_of_all([a, b])


def test_the_next_run_of_a_file_removes_what_a_killed_one_left_and_no_living_draft(tmp_path):
    dead = tmp_path / ".a.txt.abcdefgh.draft"
    dead.mkdir()
    (dead / "a.txt").write_text("half")
    with files.whole(tmp_path / "a.txt") as draft:
        draft.write_text("mine")
        assert not dead.exists()
        with files.whole(tmp_path / "a.txt") as other:
            other.write_text("other")
            assert draft.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_an_error_that_names_no_file_gets_the_name_of_the_one_to_be_written(tmp_path):
    with pytest.raises(OSError, match="No space left on device: .*a.txt"):
        with files.whole(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_only_regular_files_of_the_folder_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/out").symlink_to(tmp_path / "a")
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    assert files.read_regular(tmp_path / "a") == b"12345"
    for name in ("inner/out", "device", "pipe", "inner", "nothing"):
        with pytest.raises(ValueError, match="must be a regular file in its folder"):
            files.read_regular(tmp_path / name)
    with pytest.raises(ValueError, match="at most 4 bytes, got 5"):
        files.read_regular(tmp_path / "a", most=4)
