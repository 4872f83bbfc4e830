"""Controllers of a whole row's power: POLCA and the baselines that it is compared with."""
