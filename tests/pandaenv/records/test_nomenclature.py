"""Data-set names of the three real forms, what is refused, and words found in free text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandaenv.records import nomenclature
from pandaenv.records.nomenclature import DatasetName, Tokens, find, is_private, parse

CONTAINER = "mc20_13TeV.410470.PhPy8EG_A14_ttbar_hdamp258p75_nonallhad.deriv.DAOD_PHYS.e6337_p5980"
DATASET = "data15_13TeV.00123456.physics_Main.deriv.DAOD_FTAG2.r1234_p1234_p1235_tid01234567_00"
PERIOD = "data18_13TeV.periodAllYear.physics_Main.PhysCont.DAOD_PHYSLITE.grp18_v01_p6697"
PROJECTS = [
    "mc15_13TeV",
    "mc16_13TeV",
    "mc20_13TeV",
    "mc21_13p6TeV",
    "mc23_13p6TeV",
    "data15_13TeV",
    "data24_13p6TeV",
    "data15_hi",
    "valid1",
    "data16_hip8TeV",
    "mc15_5TeV",
    "data17_900GeV",
    "data15_cos",
    "mc11_2p76TeV",
]


def test_a_container_splits_into_six_fields():
    name = parse(CONTAINER)
    assert (name.project, name.number) == ("mc20_13TeV", "410470")
    assert (name.prodstep, name.datatype, name.tags) == ("deriv", "DAOD_PHYS", "e6337_p5980")
    assert name.is_container and name.is_daod


def test_a_dataset_has_a_tid_and_keeps_its_leading_zeros():
    name = parse(DATASET)
    assert not name.is_container
    assert name.number == "00123456"


def test_a_period_container_has_physcont_for_its_step():
    assert parse(PERIOD).prodstep == "PhysCont"


@pytest.mark.parametrize("name", [CONTAINER, DATASET, PERIOD])
def test_scope_slash_and_spaces_change_nothing(name):
    assert parse(f" {name.split('.')[0]}:{name}/ ") == parse(name)


def test_a_format_other_than_daod_is_seen():
    assert not parse(CONTAINER.replace("DAOD_PHYS", "AOD")).is_daod


@pytest.mark.parametrize("name", ["", "a.b.c", CONTAINER + ".x", CONTAINER.replace(".deriv", ".")])
def test_what_has_not_six_fields_is_refused_without_repeating_it(name):
    with pytest.raises(ValueError, match="six non-empty fields") as error:
        parse(name)
    assert "410470" not in str(error.value)


@pytest.mark.parametrize("name", ["user.alice.a.b.DAOD_PHYS.c", "group.phys:group.phys.a.b.c.d"])
def test_a_private_data_set_is_refused_without_naming_its_owner(name):
    assert is_private(name)
    with pytest.raises(ValueError, match="starts with its project") as error:
        parse(name)
    assert "alice" not in str(error.value)


@pytest.mark.parametrize("project", PROJECTS)
def test_real_projects_are_in_the_vocabulary(project):
    assert re.fullmatch(nomenclature.PROJECT, project)
    assert find(f"user.x.{project}_v1").project == project


@pytest.mark.parametrize(
    "word", ["alice", "user", "mc20_alice", "data15", "mc16", "12345", "mc\u0662\u0660_13TeV"]
)
def test_only_words_of_the_vocabulary_are_projects(word):
    assert re.fullmatch(nomenclature.PROJECT, word) is None


def test_words_are_found_in_an_output_name():
    text = "user.alice.merge.mc16_13TeV.364100.Sherpa.deriv.DAOD_HIGG2D1.e5271_v3_hist"
    assert find(text) == Tokens("mc16_13TeV", "deriv", "DAOD_HIGG2D1")


def test_underscores_part_words_but_letters_do_not():
    assert find("x_DAOD_PHYS_v1").datatype == "DAOD_PHYS"
    assert find("myDAOD_PHYS xrecon reconx mc16_13TeVx") == Tokens()


def test_a_step_may_stand_alone():
    assert find("a.recon.b") == Tokens(prodstep="recon")


field = st.from_regex(r"[A-Za-z0-9_\-]{1,12}", fullmatch=True)


@given(st.tuples(*[field] * 6))
def test_joining_then_parsing_gives_the_fields_back(fields):
    name = ".".join(fields)
    if is_private(name):
        return
    assert parse(name) == DatasetName(*fields)


@given(st.sampled_from(PROJECTS), st.sampled_from(nomenclature.PRODSTEPS), st.text("ab.:-/ "))
def test_words_are_found_in_any_surroundings(project, prodstep, around):
    text = f"{around}.{project}.1.x.{prodstep}.DAOD_PHYS.{around}"
    assert find(text) == Tokens(project, prodstep, "DAOD_PHYS")
