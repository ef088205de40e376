"""Three realistic pairs: an old server with its workload, a new one built up for it, and exactly what the new
one lacks. `complete_...` is each pair before anything was planted.
"""

from tests.unit.parity.pairs.files import complete_file_server, file_server
from tests.unit.parity.pairs.kit import Pair
from tests.unit.parity.pairs.orders import application_server, complete_application_server
from tests.unit.parity.pairs.shop import complete_web_server, web_server

__all__ = [
    "Pair",
    "application_server",
    "complete_application_server",
    "complete_file_server",
    "complete_web_server",
    "file_server",
    "web_server",
]
