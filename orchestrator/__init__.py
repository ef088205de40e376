"""The core of ferry: reads a plan file, decides, acts through provider adapters, reports."""
