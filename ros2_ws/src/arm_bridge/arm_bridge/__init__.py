"""Any arm that has ROS drivers, behind the bridge: observations in, limited commands out, safety states between."""
