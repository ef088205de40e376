"""ServerFacts as items, section by section. Nothing is judged here; unknown sections give nothing."""
