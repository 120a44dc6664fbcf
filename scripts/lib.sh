# What the scripts share: places, and checks that count themselves.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8 TZ=UTC
PASSED=0
FAILED=0

# check NAME COMMAND...: runs it; on failure shows the end of what it said.
check() {
  local name=$1 start=$SECONDS log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then
    PASSED=$((PASSED + 1))
    echo "ok   $name ($((SECONDS - start)) s)"
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

# Ends the script with a count.
finish() {
  echo "$PASSED passed, $FAILED failed"
  [ "$FAILED" = 0 ]
  exit
}
