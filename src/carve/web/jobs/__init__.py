"""Jobs of the server: what waits, what is known of them, the processes that do them."""
