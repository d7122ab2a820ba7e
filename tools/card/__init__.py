"""What evaluations measured, as metadata.json, the model card and the README's table show it."""
