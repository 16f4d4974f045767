"""The parts of the simulated provider: what it is asked, what it answers, how each dialect writes it, what it counts.

Nothing here is used when the gateway serves; `opsconsole.staging.simulator` puts the parts together.
"""
