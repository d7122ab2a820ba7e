"""Many trainings: a plan of them, what runs it, what it left behind, and tables about that."""
