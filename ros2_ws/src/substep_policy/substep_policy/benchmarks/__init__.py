"""What policies cost in time and memory."""
