"""The motions: each turns the present view into the next pose to servo to, until its effect holds."""
