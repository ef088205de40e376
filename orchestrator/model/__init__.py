"""Neutral frozen values that cross every border: between core and adapters, into change sets, evidence and
reports."""
