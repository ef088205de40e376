"""Names of what lies in the lab's folder."""

RECORD = "vcenter.json"
"""Where the simulated vCenter listens; there only while it runs."""
PASSWORD = "password"  # noqa: S105  # a file's name
ADMIN_PASSWORD = "admin-password"  # noqa: S105  # a file's name
"""What the staged servers' administrators get."""
IMAGES = "images"
