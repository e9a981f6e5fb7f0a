# Prints what this machine has. Changes nothing, and says what the next set-up would do.

# The folder, or the nearest above it that is there.
existing() { local folder=$1; while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done; echo "$folder"; }

doctor() {
  local missing; missing=$(missing_system_packages)
  VENV=$(venv_path)
  row() { printf '%-18s %s\n' "$1" "$2"; }
  row system          "$(. /etc/os-release 2>/dev/null; echo "${PRETTY_NAME:-$(uname -s)}"), $(uname -m), $(nproc --all) cores"
  row python          "$PYTHON ($("$PYTHON" -c 'import platform; print(platform.python_version())'))"
  row "ROS 2"         "$ROS_SOURCE${ROS_DISTRO:+ ($ROS_DISTRO)}"
  row "system packages" "$([ -n "$missing" ] && echo "missing: $missing" || echo "all there")"
  row cache           "$CACHE ($(df -h --output=avail "$(existing "$CACHE")" | tail -n 1 | tr -d ' ') free)"
  row environment     "$([ -e "$VENV/.complete" ] && echo "$VENV" || echo "not there yet: ./substep setup makes it")"
  row workspace       "$([ -e "$ROOT/ros2_ws/install/.substep-key" ] && echo built || echo "not built yet: ./substep setup builds it")"
  if [ -e "$VENV/.complete" ] && [ -e "$ROOT/ros2_ws/install/.substep-key" ]; then
    enter_environment; enter_workspace; python "$ROOT/setup/doctor.py"
  fi
}
