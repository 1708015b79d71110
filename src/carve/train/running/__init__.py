"""What all trainings share: the loop, the optimiser, the schedule, checkpoints, logs and cards."""
