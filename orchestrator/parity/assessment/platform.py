"""Findings about what the machine is: architecture, domain controller, cluster node, disks."""

from collections.abc import Iterator

from orchestrator.model.facts import ProductType
from orchestrator.parity.assessment.checks import Check
from orchestrator.parity.assessment.result import HostFinding
from orchestrator.parity.assessment.subject import Subject, service_ground
from orchestrator.parity.result import Severity


def _architecture(subject: Subject) -> Iterator[HostFinding]:
    arch = subject.facts.identity.arch
    if arch == "ia64":
        yield HostFinding(
            id="itanium",
            severity=Severity.BLOCKER,
            title="It is built for Itanium: no hypervisor here or in Azure runs it",
            grounds=(subject.ground("identity.arch", arch),),
            advice="Take it out of the plan. Move its data over the network and build it up on x64.",
        )
    if arch == "x86":
        yield HostFinding(
            id="32-bit",
            severity=Severity.WARNING,
            title="It is a 32-bit Windows: there is no way in place to 2022 or 2025, not even in steps",
            grounds=(subject.ground("identity.arch", arch),),
            advice="Stage a clean x64 target. Look for x64 versions of its programs and drivers: 32-bit "
            "programs mostly run there, 32-bit drivers and 16-bit programs never.",
        )


def _domain_controller(subject: Subject) -> Iterator[HostFinding]:
    if subject.facts.identity.product_type is ProductType.DOMAIN_CONTROLLER:
        yield HostFinding(
            id="domain-controller",
            severity=Severity.BLOCKER,
            title="It is a domain controller: reverting or copying it can damage the whole domain",
            grounds=(subject.ground("identity.product_type", "domain controller"),),
            advice="Do not contain or lift it. Promote a newer domain controller (2025 needs the 2016 level: "
            "no 2008 one may remain; SYSVOL must use DFS-R), move the roles, demote this one, retire it.",
        )


def _cluster_node(subject: Subject) -> Iterator[HostFinding]:
    for service in subject.running(("ClusSvc",)):
        yield HostFinding(
            id="cluster-node",
            severity=Severity.BLOCKER,
            title="It is a cluster node: its partners and shared disks are not in any snapshot of it",
            grounds=(service_ground(subject, service),),
            advice="Move its groups to other nodes and evict it, or treat the cluster as a whole by hand; "
            "never revert one node alone.",
        )


def _dynamic_disks(subject: Subject) -> Iterator[HostFinding]:
    dynamic = [disk for disk in subject.facts.disks or () if disk.dynamic]
    if dynamic:
        yield HostFinding(
            id="dynamic-disks",
            severity=Severity.WARNING,
            title="It has dynamic disks: volumes may span them, and a copy may come up as foreign",
            grounds=tuple(
                subject.ground(f"disks.{disk.index}", f"dynamic, {disk.size} bytes") for disk in dynamic
            ),
            advice="Always snapshot and copy all its disks together. After a lift import foreign disks in "
            "Disk Management, or move the data to basic disks before.",
        )


def _encrypted_volumes(subject: Subject) -> Iterator[HostFinding]:
    for volume in subject.facts.volumes or ():
        if volume.encrypted:
            name = volume.letter or volume.label or f"disk {volume.disk}"
            yield HostFinding(
                id="encrypted-volume",
                detail=name,
                severity=Severity.BLOCKER if subject.plan.lift else Severity.WARNING,
                title=f"Volume {name} is encrypted: nothing on it can be read from a snapshot",
                grounds=(subject.ground(f"volumes.{name}", "encrypted"),),
                advice="Have the recovery key ready. Decrypt it before a lift; collect inside the guest.",
            )


CHECKS = (
    Check("whether anything can run it at all", Severity.BLOCKER, ("identity.arch",), _architecture),
    Check(
        "whether it is a domain controller", Severity.BLOCKER, ("identity.product_type",), _domain_controller
    ),
    Check("whether it is a cluster node", Severity.BLOCKER, ("services",), _cluster_node),
    Check("whether it has dynamic disks", Severity.WARNING, ("disks",), _dynamic_disks),
    Check("whether volumes are encrypted", Severity.WARNING, ("volumes",), _encrypted_volumes),
)
