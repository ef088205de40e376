"""References to secrets. The value itself never stands in a model, a change set, a message or a database."""

from pydantic import model_validator

from orchestrator.model.base import Value


class SecretRef(Value):
    """Where a secret is found when it is needed: exactly one of an environment variable, a file, a keyring
    entry `SERVICE/USER`."""

    env: str | None = None
    file: str | None = None
    keyring: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretRef":
        if sum(part is not None for part in (self.env, self.file, self.keyring)) != 1:
            msg = "give exactly one of env, file, keyring"
            raise ValueError(msg)
        return self

    def __str__(self) -> str:
        kind, name = next(
            (k, v)
            for k, v in (
                ("env", self.env),
                ("file", self.file),
                ("keyring", self.keyring),
            )
            if v
        )
        return f"{kind}:{name}"
