"""The pieces of the body fit, which `stages.fit_body` puts together."""
