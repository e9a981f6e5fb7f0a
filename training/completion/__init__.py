"""The completion model: frames of substep ends, training, calibration, figures."""
