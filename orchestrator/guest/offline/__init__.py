"""Facts from disk images: NTFS, registry hives and task files, read in a confined child."""

from orchestrator.guest.offline.collect import collect_from_image, collect_offline

__all__ = ["collect_from_image", "collect_offline"]
