"""What did the old server do that the new one does not do yet? Pure: facts in, a verdict with reasons out.

`compare.compare` judges, `explain.explain` says why for one item, `progress.progress` compares two looks.
What is known about Windows releases is data: `rules/*.toml`, `profiles/*.toml`. No clock, no network; the
only files read are those two folders of this package.
"""
