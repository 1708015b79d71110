"""carve over HTTP: the page in the browser and the REST behind it. Everything here needs the extra `web`."""
