"""`python -m orchestrator`, for debugging; the documented entry is the console script `ferry`."""

from orchestrator.cli.main import main

if __name__ == "__main__":
    main()
