"""The head of the body: its face, hair and look."""
