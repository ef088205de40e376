"""Tables for the identity: edition to SKU, installation language to its tag."""

import locale

_SKUS = {
    "Ultimate": 1,
    "HomeBasic": 2,
    "HomePremium": 3,
    "Enterprise": 4,
    "Business": 6,
    "ServerStandard": 7,
    "ServerDatacenter": 8,
    "ServerEnterprise": 10,
    "Starter": 11,
    "ServerDatacenterCore": 12,
    "ServerStandardCore": 13,
    "ServerEnterpriseCore": 14,
    "ServerEnterpriseIA64": 15,
    "ServerWeb": 17,
    "ServerComputeCluster": 18,
    "ServerHPC": 18,
    "ServerWebCore": 29,
    "ServerStandardV": 36,
    "ServerDatacenterV": 37,
    "ServerEnterpriseV": 38,
    "ServerDatacenterVCore": 39,
    "ServerStandardVCore": 40,
    "ServerEnterpriseVCore": 41,
    "ServerHyperCore": 42,
    "Professional": 48,
}
_BY_NAME = {name.casefold(): sku for name, sku in _SKUS.items()}


def sku(edition: str | None) -> int | None:
    """Return the OperatingSystemSKU for an EditionID; None for one that is not in the table.

    The names are assumed for 6.0 and known from 6.1 on; the numbers are those of GetProductInfo.
    """
    return _BY_NAME.get((edition or "").casefold())


def core(installation: str | None, edition: str | None, explorer: bool | None) -> bool | None:
    """Tell whether it is Server Core. InstallationType decides where it is stored (from 6.1 on), then an
    EditionID that ends in Core (6.0), then whether the desktop's program is on the disk.
    """
    if installation:
        return installation.casefold() in ("server core", "nano server")
    if edition and edition.casefold().endswith("core"):
        return True
    return None if explorer is None else not explorer


def language_tag(code: str | None) -> str | None:
    """Return the tag ("de-DE") for a language identifier in hexadecimal ("0407")."""
    try:
        number = int(code or "", 16)
    except ValueError:
        return None
    name = locale.windows_locale.get(number)
    return name.replace("_", "-") if name else None
