# Shared by the scripts: places, and checks that are counted.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8 TZ=UTC
PASSED=0
FAILED=0
NOT_RUN=0

# cross: sets variables that builds for musl and for Windows need.
cross() {
  local gcc=/usr/lib/gcc/x86_64-w64-mingw32/12-win32/include include=/usr/x86_64-w64-mingw32/include
  # bindgen asks libclang, which knows neither musl nor MinGW.
  export BINDGEN_EXTRA_CLANG_ARGS_x86_64_unknown_linux_musl='-nostdinc -isystem /usr/include/x86_64-linux-musl'
  export BINDGEN_EXTRA_CLANG_ARGS_x86_64_pc_windows_gnu="-isystem $gcc -isystem $include"
  # Only the library of libwim: its program is not needed, and for Windows the program's links cannot be made.
  export GNUMAKEFLAGS='wimlib_imagex_cmds= bin_PROGRAMS='
}

# target TRIPLE: has rustup get what is compiled against for another system.
target() {
  rustup target list --installed | grep -qx "$1" || rustup target add "$1" ||
    { echo "rustup cannot get the target $1: no network, or no rustup" >&2; return 1; }
}

# check NAME COMMAND...: runs it; on failure shows the end of what it said. Status 77 says that it could not run here.
check() {
  local name=$1 start=$SECONDS log rc=0
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || rc=$?
  if [ $rc = 0 ]; then
    PASSED=$((PASSED + 1))
    echo "ok   $name ($((SECONDS - start)) s)"
  elif [ $rc = 77 ]; then
    NOT_RUN=$((NOT_RUN + 1))
    echo "not run: $name: $(tail -n 1 "$log")"
  else
    FAILED=$((FAILED + 1))
    echo "FAIL $name: $*"
    tail -n 15 "$log" | cut -c1-300 | sed 's/^/     /'
  fi
  rm -f "$log"
}

# start NAME COMMAND...: the same in the background; collect NAME waits for it and counts it.
start() {
  local name=$1
  shift
  mkdir -p started
  (
    FAILED=0
    check "$name" "$@" > "started/$name" 2>&1
    [ $FAILED = 0 ]
  ) &
  eval "PID_${name//[^a-zA-Z0-9]/_}=$!"
}

collect() {
  local pid=PID_${1//[^a-zA-Z0-9]/_}
  if wait "${!pid}"; then PASSED=$((PASSED + 1)); else FAILED=$((FAILED + 1)); fi
  cat "started/$1"
}

# Ends the script, and says how many checks failed.
finish() {
  local more=
  [ $NOT_RUN = 0 ] || more=", $NOT_RUN not run"
  echo "$PASSED passed, $FAILED failed$more"
  [ "$FAILED" = 0 ]
  exit
}
