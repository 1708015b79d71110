"""What fits of a body share: joints that move, landmarks, evidence."""
