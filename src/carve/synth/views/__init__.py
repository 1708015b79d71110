"""What a camera sees of a person, without light."""
