"""Commands of those who train and measure: synthetic people, trainings, evaluations."""
