"""What the staging step says: an answer medium, or the hypervisor's own customization."""

from datetime import timedelta

from orchestrator.changeset.changes import StepKind
from orchestrator.changeset.steps import TEMPLATE, apply_steps
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import DomainJoin, GoldenImage, Placement, TargetSpec
from tests.unit.builders import a_host_plan, a_machine, a_target


def words(target: TargetSpec, image_format: str) -> dict[str, str]:
    image = GoldenImage(name="golden", id="x", size_bytes=1, format=image_format)
    steps = apply_steps(a_host_plan(target=target), a_machine(), None, image)
    return dict(next(step for step in steps if step.kind is StepKind.STAGE).values)


def test_an_image_file_gets_an_answer_medium_and_no_more() -> None:
    said = words(a_target(), "qcow2")
    assert "ejected and deleted" in said["answer medium"]
    assert not {"customization", "placement", "domain", "workgroup", "time zone"} & said.keys()


def test_a_template_is_customized_by_its_hypervisor_within_the_limit() -> None:
    said = words(a_target(first_boot_limit=timedelta(minutes=40)), TEMPLATE)
    assert "answer medium" not in said
    assert "confirmed within 0:40:00" in said["customization"]
    assert said["workgroup"] == "WORKGROUP"
    assert said["time zone"] == "Greenwich Standard Time"
    assert said["placement"] == "the only one possible"


def test_domain_zone_and_place_are_named_the_password_by_its_reference() -> None:
    domain = DomainJoin(name="corp.example", username="joiner", password=SecretRef(env="JOIN"))
    place = Placement(cluster="C1", folder="Branch/New")
    said = words(a_target(domain=domain, placement=place, time_zone="Tokyo Standard Time"), TEMPLATE)
    assert said["domain"] == f"corp.example, joined as joiner, password from {SecretRef(env='JOIN')}"
    assert said["time zone"] == "Tokyo Standard Time"
    assert said["placement"].startswith("cluster C1, folder Branch/New;")
    assert "workgroup" not in said
