"""From plan and observations to a frozen change set, its digest, and the check that the world is still as
observed. Pure but for `store`."""
