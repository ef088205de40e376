"""A spreadsheet of hosts to a plan file."""

from datetime import date
from pathlib import Path

import pytest

from orchestrator.diagnostics import InvalidInput
from orchestrator.model.plan import PlanFile
from orchestrator.planfile import check_plan, import_csv
from orchestrator.planfile.columns import COLUMNS

FULL = (
    "Host,Hypervisor,Provider,URL,VM,Build,Arch,Wave,After,Action,Isolation,Quarantine,Release,Golden Image,"
    "New VM,Staging-Network,CPUs,RAM,IP,Gateway,DNS,Password Env,Profile\n"
    "FILE01,lab,KVM,qemu:///system,file01,6003,x64,canary,,Contain,unplugged,,2025,win2025,file01n,staging,4,8GiB,"
    "198.51.100.20/24,198.51.100.1,198.51.100.2 198.51.100.3,ADMIN_PW,file-server\n"
    "010,lab,,,,,x86,rest,FILE01,contain,sealed,Quarantine 1,,,,,,,,,,,\n"
)


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "hosts.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def imported(tmp_path: Path, text: str) -> PlanFile:
    out = tmp_path / "plan.yaml"
    import_csv(written(tmp_path, text), out, owner="infra-ops")
    plan, problems = check_plan(out, date(2026, 11, 24))
    assert [str(p) for p in problems] == []
    assert plan is not None
    return plan


def problems_of(tmp_path: Path, text: str | bytes) -> list[str]:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        import_csv(path, tmp_path / "plan.yaml")
    assert not (tmp_path / "plan.yaml").exists()
    return [str(d).removeprefix(f"{path}:").partition(";")[0] for d in caught.value.diagnostics]


def test_a_full_row_becomes_a_valid_host(tmp_path: Path) -> None:
    plan = imported(tmp_path, FULL)
    first, second = plan.hosts
    assert (plan.name, plan.owner, plan.waves) == ("hosts", "infra-ops", ("canary", "rest"))
    assert (first.vm, first.expect.build, first.expect.arch) == ("file01", 6003, "x64")
    assert first.target is not None
    assert (first.target.cpus, first.target.memory_bytes) == (4, 8 * 1024**3)
    assert first.target.address is not None
    assert first.target.address.dns == ("198.51.100.2", "198.51.100.3")
    assert first.target.admin_password.env == "ADMIN_PW"
    assert first.parity is not None
    assert first.parity.profile == "file-server"
    assert (second.name, second.vm, second.depends_on) == ("010", "010", ("FILE01",))
    assert second.isolation is not None
    assert second.isolation.network is not None
    assert second.isolation.network.name == "Quarantine 1"
    assert second.target is None


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_delimiter_byte_order_mark_and_line_ends_do_not_matter(
    tmp_path: Path, delimiter: str, line_end: str
) -> None:
    text = "\ufeff" + FULL.replace(",", delimiter).replace("\n", line_end)
    assert import_csv(written(tmp_path, text)) == import_csv(written(tmp_path, FULL))


def test_what_is_not_said_is_marked_and_validation_lists_the_marks(tmp_path: Path) -> None:
    out = tmp_path / "plan.yaml"
    text = import_csv(
        written(tmp_path, "name,endpoint,provider,disposition,release\nA,vc,vsphere,lift,2022\nB,x,,,\n"), out
    )
    assert text == out.read_text()
    plan, problems = check_plan(out, date(2026, 11, 24))
    assert plan is None
    assert {p.code for p in problems} == {"fill-in"}
    assert len(problems) == text.count('"<fill in: ') > 10
    lines = text.splitlines()
    for problem in problems:
        assert problem.location is not None
        assert lines[problem.location.line - 1][problem.location.column - 1 :].startswith('"<fill in: ')


def test_bad_cells_are_reported_all_at_once_where_they_stand(tmp_path: Path) -> None:
    text = (
        "name,endpoint,provider,uri,disposition,mode,build,memory,after\n"
        "FILE 1,lab,kvm,qemu:///system,contain,unplugged,7601,,\n"
        "B,lab,kmv,,retain,unplugged,6003,4GB,C\n"
        ",lab,,,,,,,\n"
        "b,lab,,,contain,unplugged,,,,extra\n"
    )
    assert problems_of(tmp_path, text) == [
        "2:1: `FILE 1` is no name",
        "2:49: build `7601` is not Windows Server 2008 SP2",
        "3:7: endpoint `lab` has another provider in line 2",
        "3:12: `retain` is not known here",
        "3:34: `4GB` is no size",
        "3:38: host `C` is not in this file",
        "4:1: a row without `name`",
        "5:1: a second host `b`, first in line 3",
        "5:1: machine `b` is claimed twice, first in line 3",
        "5:30: a cell without a header",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty"),
        ("\n\n", "1:1: the file is empty"),
        ("name,endpoint\n", "1:1: there is no host"),
        ("name\nA\n", "1:1: there is no column `endpoint`"),
        ("name,endpoint,passwort\nA,lab,geheim\n", "1:15: column `passwort` is not known"),
        ("name,endpoint,Host\nA,lab,B\n", "1:15: a second column for `name`"),
        ('name,endpoint\n"A,lab\n', "2:1: the file ends inside quotes"),
        ('name,endpoint\n"A"x,lab\n', "2:3: text after closing quotes"),
        (b"name,endpoint\nF\xfcr,lab\n", "2:2: byte 0xfc is not UTF-8"),
        ("name,endpoint\nA,lab\n".encode("utf-16"), "1:1: the file is UTF-16"),
        (
            'name,endpoint,uri,provider\nA,lab,"qemu+tcp://u:geheim@h/system",kvm\n',
            "2:7: a password inside this value",
        ),
        (
            "name,endpoint,disposition,mode,network\nA,lab,contain,unplugged,q\n",
            "2:25: `unplugged` needs no network",
        ),
    ],
)
def test_bad_spreadsheets(tmp_path: Path, text: str | bytes, said: str) -> None:
    found = problems_of(tmp_path, text)
    assert said in found
    assert "geheim" not in "".join(found)


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    text = "name,endpoint,provider,uri,disposition,mode,network\nA,l,kvm,qemu:///system,contain,sealed,q\n"
    assert problems_of(tmp_path, text + "B,l,kvm,qemu:///session,contain,filtered,q\n") == [
        "3:9: endpoint `l` has another uri in line 2",
        "3:33: network `q` has another mode in line 2",
    ]


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    row = 'A,l,contain,unplugged,"Folder, ""old""/A"\n"B",l,contain,unplugged,"b\n"\n'
    text = import_csv(written(tmp_path, "name,endpoint,disposition,mode,vm\n" + row))
    assert 'vm: "Folder, \\"old\\"/A"' in text
    assert "vm: b}" in text


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    source, out = written(tmp_path, FULL), tmp_path / "plan.yaml"
    out.write_text("mine")
    with pytest.raises(InvalidInput, match="is there already"):
        import_csv(source, out)
    assert out.read_text() == "mine"
    text = import_csv(source, out, force=True)
    assert out.read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hosts.csv", "plan.yaml"]


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        import_csv(written(tmp_path, FULL), tmp_path / "none" / "plan.yaml")


def test_the_page_names_every_column() -> None:
    page = (Path(__file__).parents[3] / "plans" / "README.md").read_text()
    assert all(f"`{column}`" in page for column in COLUMNS)
