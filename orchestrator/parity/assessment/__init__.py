"""What decides an old host's way: findings from its facts, and who would miss it. Pure.

`assess.assess` does it. Rules that are lists of names are data: `rules.toml`. No clock, no network; the only
file read is that one. A section that nobody has seen never counts as fine: it becomes a finding of its own.
"""
