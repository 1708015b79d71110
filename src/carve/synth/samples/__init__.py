"""What the trainers are given."""
