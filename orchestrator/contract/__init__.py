"""What every provider adapter must do: the roles, the declared capabilities, the one error. The core owns
it; adapters depend on it."""
