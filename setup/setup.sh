# Sets up what is missing: system packages, a virtual environment from the pins, the ROS 2 workspace.
# Sourced by ./substep with ROOT set; every step is skipped when its inputs have not changed.

# Where HOME is not set, as under some supervisors, the account says it.
[ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6) || HOME=
export HOME=${HOME:-/}
# Python's modules read it too (substep_core/user_cache.py).
export SUBSTEP_CACHE=${SUBSTEP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/substep}
case $SUBSTEP_CACHE in /*) ;; *) SUBSTEP_CACHE=$PWD/$SUBSTEP_CACHE ;; esac  # commands change the folder that they run in
CACHE=$SUBSTEP_CACHE
UV_VERSION=0.13.8
TRAINING_METADATA=$ROOT/ros2_ws/install/training

say()  { printf '%s\n' "$*" >&2; }
fail() { say "substep: $*"; exit 1; }
wrong() { say "substep: $*"; exit 2; }   # what was typed

# On a terminal, counts the seconds of the step that runs and shows the newest line of its output.
ticker() {
  [ -t 2 ] || return 0
  local started=$SECONDS
  while sleep 1; do
    printf '\r\033[K  %s … %d s  %s' "$1" $((SECONDS - started)) "$(tail -n 1 "$SETUP_LOG" | cut -c1-60)" >&2
  done
}

# step NAME HINT COMMAND…: shows the step and the time it took; on failure the end of its output and what to do.
step() {
  local name=$1 hint=$2 started=$SECONDS failed=0 ticking; shift 2
  printf '  %s … ' "$name" >&2
  SETUP_LOG=$(mktemp -t substep-setup.XXXXXX) || fail "cannot write to ${TMPDIR:-/tmp}; set TMPDIR to a folder with room"
  ticker "$name" & ticking=$!
  trap 'kill $ticking 2>/dev/null || true; rm -f "$SETUP_LOG"' EXIT  # of a step that is stopped
  # Not by say: while a function runs as a step, this shell's error stream is the log.
  exec {SAID}>&2
  trap 'printf "stopped; the same command goes on from here\n" >&$SAID; exit 130' INT
  "$@" >"$SETUP_LOG" 2>&1 || failed=1
  exec {SAID}>&-
  kill $ticking 2>/dev/null || true; wait $ticking 2>/dev/null || true; trap - EXIT INT
  if [ -t 2 ]; then printf '\r\033[K  %s … ' "$name" >&2; fi
  if [ $failed = 0 ]; then
    say "done ($((SECONDS - started)) s)"; rm -f "$SETUP_LOG"
  else
    say "FAILED"; tail -n 25 "$SETUP_LOG" >&2
    fail "'$name' failed. $hint (whole output: $SETUP_LOG)"
  fi
}

# The interpreter: where ROS 2 is sourced it must be the one that ROS was built for, and no other will do.
choose_python() {
  local candidate
  if [ -n "${SUBSTEP_PYTHON:-}" ]; then PYTHON=$SUBSTEP_PYTHON; return; fi
  for candidate in ${ROS_PYTHON:-python3 python3.12 python3.11 python3.13 python3.14}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
      PYTHON=$("$candidate" -c 'import sys; print(sys.executable)'); return
    fi
  done
  fail "no Python 3.11 to 3.14 found (${ROS_PYTHON:-python3}); install python3 (Debian 12, Ubuntu 24.04 or later) or set SUBSTEP_PYTHON"
}

# ROS_SOURCE: "system" where an ROS 2 environment with rclpy is sourced, else "wheels".
choose_ros() {
  ROS_SOURCE=wheels ROS_PYTHON=
  [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ] || return 0
  case $ROS_DISTRO in
    jazzy|kilted|lyrical) ROS_SOURCE=system ROS_PYTHON=/usr/bin/python3 ;;
    *) fail "ROS 2 '$ROS_DISTRO' is sourced; substep runs on jazzy and lyrical. Source one of them, or none to use the wheels" ;;
  esac
}

missing_system_packages() {
  local package probe
  while read -r package probe; do
    case $package in ''|'#'*) continue ;; esac
    (set +o pipefail; PATH=$PATH:/usr/sbin:/sbin; eval "$probe") >/dev/null 2>&1 || printf '%s ' "$package"
  done < "$ROOT/setup/system-packages.txt"
}

setup_system_packages() {
  local missing sudo=
  missing=$(missing_system_packages)
  [ -z "$missing" ] && return
  command -v apt-get >/dev/null || fail "these system packages (Debian's names) are missing: $missing"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && sudo=sudo \
      || fail "these system packages are missing and need root: sudo apt-get install $missing"
  fi
  step "system packages: $missing" "Run 'apt-get install $missing' by hand to see why." \
    $sudo sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing"
}

venv_path() {
  local key
  key=$( { cat "$ROOT"/requirements/*.in "$ROOT/requirements/requirements.txt" "$ROOT/setup/mend_wheels.py"
           echo "$ROS_SOURCE ${ROS_DISTRO:-}"; "$PYTHON" -VV; } | sha256sum | cut -c1-12)
  echo "$CACHE/venv-$key"
}

find_uv() {
  if command -v uv >/dev/null; then command -v uv; return; fi
  [ -x "$CACHE/uv-$UV_VERSION/bin/uv" ] || { "$PYTHON" -m venv "$CACHE/uv-$UV_VERSION" \
    && "$CACHE/uv-$UV_VERSION/bin/pip" install -q "uv==$UV_VERSION"; } >&2
  echo "$CACHE/uv-$UV_VERSION/bin/uv"
}

# A virtual environment cannot be moved, so it is made in place and marked complete at the end.
make_venv() {
  local uv
  uv=$(find_uv) && rm -rf "$VENV" || return 1
  if [ "$ROS_SOURCE" = wheels ]; then
    "$uv" venv -q -p "$PYTHON" "$VENV" \
      && "$uv" pip install --compile-bytecode -p "$VENV/bin/python" -r "$ROOT/requirements/requirements.txt" \
      && "$VENV/bin/python" "$ROOT/setup/mend_wheels.py"
  else
    "$uv" venv -q -p "$PYTHON" --system-site-packages "$VENV" \
      && "$uv" pip install --compile-bytecode -p "$VENV/bin/python" -r "$ROOT/requirements/stack.in" -c "$ROOT/requirements/requirements.txt"
  fi && touch "$VENV/.complete"
}

setup_venv() {
  VENV=$(venv_path)
  if [ ! -e "$VENV/.complete" ]; then   # else nothing is written: cache and checkout may belong to somebody else
    { mkdir -p "$CACHE" && [ -w "$CACHE" ]; } 2>/dev/null \
      || fail "cannot write to $CACHE; set SUBSTEP_CACHE to a folder with 10 GB of room"
    exec 9>"$CACHE/lock"; flock 9   # two checkouts may share the cache
    if [ ! -e "$VENV/.complete" ]; then
      say "  first set-up downloads about 4 GB of Python packages into $CACHE"
      step "Python packages" "Check the network and that $CACHE has 10 GB of room, then run the same command again." make_venv
    fi
    flock -u 9; exec 9>&-
  fi
  [ "$(readlink "$ROOT/.venv")" = "$VENV" ] || ln -sfn "$VENV" "$ROOT/.venv"
}

# What the built workspace depends on; Python sources do not count, they are linked.
workspace_key() {
  ( cd "$ROOT" && echo "$ROOT $VENV" && sha256sum pyproject.toml && find -L ros2_ws/src setup/tf2_msgs -type f \( -name package.xml -o -name CMakeLists.txt -o -name 'setup.*' \
      -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 | sort -z | xargs -0 sha256sum
    find -L ros2_ws/src -type f \( -name '*.launch.py' -o -name '*.yaml' \) | sort ) | sha256sum | cut -d' ' -f1
}

build_workspace() {
  local sources=src
  [ "$ROS_SOURCE" = wheels ] && sources="src ../setup/tf2_msgs"
  # colcon's own flags let make wait while others keep the machine busy
  ( cd "$ROOT/ros2_ws" && MAKEFLAGS=${MAKEFLAGS:--j$(nproc)} python -m colcon build --base-paths $sources --symlink-install --event-handlers console_direct+ \
      --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$VENV/bin/python" ) && describe_training
}

# training is no ROS package: its metadata, by which registries find what it offers, lies beside the built packages.
describe_training() {
  mkdir -p "$TRAINING_METADATA" \
    && ( cd "$ROOT" && python -c 'import setuptools; setuptools.setup()' -q egg_info --egg-base "$TRAINING_METADATA" )
}

setup_workspace() {
  local key stamp=$ROOT/ros2_ws/install/.substep-key
  key=$(workspace_key)
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return
  case $ROOT in
    *[!\ -~]*) fail "ROS's generators cannot build in $ROOT: its name holds characters beyond ASCII; move the clone" ;;
  esac
  mkdir -p "$ROOT/ros2_ws/install"
  exec 9>"$ROOT/ros2_ws/install/.substep-lock"; flock 9   # two commands started at once must not build at once
  [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && { exec 9>&-; return; }
  step "ROS 2 workspace" "Look for the first error above; './substep clean' removes what was built." build_workspace
  echo "$key" > "$stamp"
  exec 9>&-
}

# Environment of every command: the virtual environment as an ament prefix, then the workspace over it.
enter_environment() {
  export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
  # What numba compiles holds robosuite's functions and knows not of which version: one folder for each environment.
  export NUMBA_CACHE_DIR=$CACHE/numba-${VENV##*/venv-}
  if [ "$ROS_SOURCE" = wheels ]; then
    export AMENT_PREFIX_PATH=$VENV CMAKE_PREFIX_PATH=$VENV
    # The wheels' start-up hook sets both; a program that it has started hands on the mark without the path.
    unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
  fi
}

enter_workspace() {
  set +u
  . "$ROOT/ros2_ws/install/local_setup.bash"
  set -u
  export PYTHONPATH=$ROOT:$TRAINING_METADATA${PYTHONPATH:+:$PYTHONPATH}
}

setup_packages() {
  setup_system_packages; setup_venv
}

setup_all() {
  setup_packages
  enter_environment; setup_workspace; enter_workspace
}
