"""The console's widgets, one to a file. Each is given values and paints them; none reads anything by itself."""
