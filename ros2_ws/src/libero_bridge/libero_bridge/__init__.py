"""LIBERO as a ROS 2 robot: the simulated world, its embedded scenes, the action queue, the safety guard and the node."""
