"""Editions by Win32_OperatingSystem.OperatingSystemSKU, for the 6.0 family."""

from orchestrator.lifecycle.sources import COMMON, OPERATING_SYSTEM_SKU, Source
from orchestrator.model.base import Value


class Edition(Value):
    """One edition. `core`: installed without a desktop; `hyper_v`: comes with Hyper-V (x64 only)."""

    sku: int
    name: str
    core: bool
    hyper_v: bool
    source: Source


def _edition(
    sku: int, name: str, *, core: bool, hyper_v: bool, source: Source = OPERATING_SYSTEM_SKU
) -> Edition:
    return Edition(sku=sku, name=name, core=core, hyper_v=hyper_v, source=source)


EDITIONS: tuple[Edition, ...] = (
    _edition(7, "Standard", core=False, hyper_v=True),
    _edition(8, "Datacenter", core=False, hyper_v=True),
    _edition(10, "Enterprise", core=False, hyper_v=True),
    _edition(12, "Datacenter", core=True, hyper_v=True),
    _edition(13, "Standard", core=True, hyper_v=True),
    _edition(14, "Enterprise", core=True, hyper_v=True),
    _edition(15, "Enterprise for Itanium", core=False, hyper_v=False, source=COMMON),
    _edition(17, "Web", core=False, hyper_v=False),
    _edition(18, "HPC", core=False, hyper_v=True, source=COMMON),
    _edition(29, "Web", core=True, hyper_v=False),
    _edition(36, "Standard", core=False, hyper_v=False),
    _edition(37, "Datacenter", core=False, hyper_v=False),
    _edition(38, "Enterprise", core=False, hyper_v=False),
    _edition(39, "Datacenter", core=True, hyper_v=False),
    _edition(40, "Standard", core=True, hyper_v=False),
    _edition(41, "Enterprise", core=True, hyper_v=False),
    _edition(42, "Hyper-V Server", core=True, hyper_v=True),
)
_BY_SKU = {one.sku: one for one in EDITIONS}


def edition(sku: int) -> Edition | None:
    """Return the edition of a SKU number; None for a client's or an unknown one."""
    return _BY_SKU.get(sku)
