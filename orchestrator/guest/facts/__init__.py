"""Facts from registry keys and files, the same functions whichever way the keys and files were had."""

from orchestrator.guest.facts.accounts import groups, local_names, users
from orchestrator.guest.facts.autostart import STARTUP_FOLDER, autostart
from orchestrator.guest.facts.buildtests import MAX_SCRIPT_SIZE, SCRIPTS, build_tests, is_build_test
from orchestrator.guest.facts.certificates import certificate, certificates
from orchestrator.guest.facts.commands import program_path
from orchestrator.guest.facts.der import BadDer
from orchestrator.guest.facts.drivers import MAX_INF_SIZE, driver
from orchestrator.guest.facts.firewall import firewall
from orchestrator.guest.facts.identity import control_set, identity
from orchestrator.guest.facts.iis import MAX_CONFIG_SIZE, iis, is_redirected, ssl_bindings
from orchestrator.guest.facts.machine import environment, odbc, printers, time_zone
from orchestrator.guest.facts.network import hosts_lines, network
from orchestrator.guest.facts.pe import HEAD, machine, program_kind
from orchestrator.guest.facts.roles import evident_roles, listed_roles
from orchestrator.guest.facts.security import security
from orchestrator.guest.facts.services import services
from orchestrator.guest.facts.shares import shares
from orchestrator.guest.facts.sids import account_name, permissions, sid_at
from orchestrator.guest.facts.software import software
from orchestrator.guest.facts.tasks import MAX_TASK_SIZE, BadTask, scheduled_task
from orchestrator.guest.facts.updates import hotfixes, servicing
from orchestrator.guest.facts.xml import BadXml

__all__ = [
    "HEAD",
    "MAX_CONFIG_SIZE",
    "MAX_INF_SIZE",
    "MAX_SCRIPT_SIZE",
    "MAX_TASK_SIZE",
    "SCRIPTS",
    "STARTUP_FOLDER",
    "BadDer",
    "BadTask",
    "BadXml",
    "account_name",
    "autostart",
    "build_tests",
    "certificate",
    "certificates",
    "control_set",
    "driver",
    "environment",
    "evident_roles",
    "firewall",
    "groups",
    "hosts_lines",
    "hotfixes",
    "identity",
    "iis",
    "is_build_test",
    "is_redirected",
    "listed_roles",
    "local_names",
    "machine",
    "network",
    "odbc",
    "permissions",
    "printers",
    "program_kind",
    "program_path",
    "scheduled_task",
    "security",
    "services",
    "servicing",
    "shares",
    "sid_at",
    "software",
    "ssl_bindings",
    "time_zone",
    "users",
]
