"""LIBERO as a ROS 2 robot: simulated world, embedded scenes, action queue, safety guard and the node."""
