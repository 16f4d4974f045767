"""The Staging screen: rollouts with their arms and guards, drills, captures, reports of the kit, blind review."""
