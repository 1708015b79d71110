"""Training of the networks that ship; the product never imports this."""
