"""What stands between the network and the server: who asks, what they may, what they send."""
