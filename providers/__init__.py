"""Adapters to hypervisors and clouds. Each one implements the roles of orchestrator.contract and imports
nothing of its neighbours."""
