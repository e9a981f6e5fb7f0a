"""Bags of a run, in the layout of rosbag2: recorded, repaired, read and played back. The cores need no rclpy."""
