"""What every training needs beside its network: checkpoints, devices, processes, overrides."""
