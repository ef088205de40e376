"""Bytes and zero extents of disk images that nobody writes, opened under guard."""

from orchestrator.disks.chain import FORMATS, ImageInfo, ImageLayer, image_info
from orchestrator.disks.image import open_image
from orchestrator.disks.partitions import Partition, PartitionTable, Scheme, partition_table
from orchestrator.disks.raw import open_raw
from orchestrator.disks.spool import spool

__all__ = [
    "FORMATS",
    "ImageInfo",
    "ImageLayer",
    "Partition",
    "PartitionTable",
    "Scheme",
    "image_info",
    "open_image",
    "open_raw",
    "partition_table",
    "spool",
]
