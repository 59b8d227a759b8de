"""Tables of a user's own names of sites."""

import pytest

from pandaenv.sites import AliasTable, read_aliases


def table_of(tmp_path, text: str) -> AliasTable:
    (tmp_path / "sites.csv").write_text(text)
    return read_aliases(tmp_path / "sites.csv")


def test_names_lead_to_sites_of_the_catalogue_or_of_the_table(tmp_path):
    text = "Site, Power ,name,note\nq,,Queue,x\nLOCAL,,q,\nLOCAL,12,LOCAL,\nBNL-ATLAS,,b,\n"
    table = table_of(tmp_path, text)
    names = ("queue", "Q", "local", "B", "CERN", "MWT2", "MWT2_SHORT", "jdoe")
    sites = ("LOCAL", "LOCAL", "LOCAL", "BNL-ATLAS", "CERN-PROD", "MWT2", "MWT2_SHORT", None)
    assert tuple(map(table.resolve, names)) == sites
    assert table.power == {"LOCAL": 12.0}


def test_without_a_table_the_short_names_of_panda_are_known():
    assert AliasTable().resolve("BNL") == "BNL-ATLAS"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,site\na,b\nb,c\nc,a\n", "names must lead to a site, a -> b -> c -> a do not"),
        ("name,site\na,NOWHERE\n", "got 'NOWHERE' in the row of 'a'"),
        ("name,site\na,MWT2\nA,MWT2\n", "a name that no other row has"),
        ("name,site\na,\n", "each row must have a site"),
        ("name,power\na,1\n", "it lacks site"),
        ("name,site,power\na,a,-1\n", "a power must be a number above 0, got '-1'"),
        ("name,site,power\na,a,inf\n", "a power must be a number above 0, got 'inf'"),
        ("", "must be a readable CSV file"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        table_of(tmp_path, text)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a readable CSV file"):
        read_aliases(tmp_path / "none.csv")
