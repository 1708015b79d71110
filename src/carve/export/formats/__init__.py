"""What each file format of an avatar asks for."""
