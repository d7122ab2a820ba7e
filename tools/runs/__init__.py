"""Many trainings: planning them, running them, collecting their results, and tables of these."""
