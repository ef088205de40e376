"""Runs change sets durably: DBOS on SQLite or PostgreSQL, with lease, journal, ledger and evidence of our
own.

Only `actions` calls a mutating provider method. Importing this package does not import DBOS (half a second):
it is loaded at launch.
"""
