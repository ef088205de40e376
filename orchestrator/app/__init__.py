"""The use cases behind the command line: wires registry, readers, engine and reports. No rendering here."""
