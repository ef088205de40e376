"""The shared conformance suite of the provider contract."""
