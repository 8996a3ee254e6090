"""More than one process, card or machine: training by FSDP through accelerate, sweeps by Ray."""
