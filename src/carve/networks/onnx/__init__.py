"""Normal and depth models of the user's own, in a process of their own."""
