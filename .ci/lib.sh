# Shared by .ci/run and .ci/deep: parts, each with a name and a slice of time.
# It needs bash and coreutils; Go and gcc do the rest.

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
export HOME=${HOME:-~}
[ -w "$HOME" ] || { HOME=${TMPDIR:-/tmp}/conch-ci-home; mkdir -p "$HOME"; }
# No version control stamps: a checkout may belong to somebody else.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# main NAME:SECONDS... runs the parts in order, each in a process of its own.
# Arguments of the script, in $chosen, select some of them. A part that fails
# or takes too long fails the run, but the others still run. The part "test",
# the last one, says nothing of its own: go test's output ends the log.
main() {
	exec 2>&1
	local todo=() failed=() passed=() part name slice began rc pid=
	if [ "${chosen[0]-}" = --part ]; then
		tmp=$(mktemp -d)
		trap 'rm -rf "$tmp"' EXIT
		"part_${chosen[1]}"
		return
	fi
	for part; do
		name=${part%:*}
		if [ ${#chosen[@]} = 0 ] || [[ " ${chosen[*]} " = *" $name "* ]]; then
			todo+=("$part")
		fi
	done
	if [ ${#todo[@]} = 0 ]; then
		echo "no such part; there are:" "${@%:*}" >&2
		exit 64
	fi
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	while [ ${#todo[@]} -gt 0 ]; do
		part=${todo[0]} todo=("${todo[@]:1}")
		name=${part%:*} slice=${part#*:} began=$SECONDS rc=0
		if [ "$name" = test ]; then
			printf '\nafter %d s: passed: %s; failed: %s\n' "$SECONDS" "${passed[*]:-none}" "${failed[*]:-none}"
		fi
		printf '\n=== %s (at most %s s)\n' "$name" "$slice"
		timeout --kill-after=10 "$slice" bash "$0" --part "$name" </dev/null &
		pid=$!
		wait "$pid" || rc=$?
		if [ $rc = 0 ]; then
			passed+=("$name")
			[ "$name" = test ] || printf -- '--- %s: passed, %d s\n' "$name" $((SECONDS - began))
		else
			failed+=("$name")
			[ $rc != 124 ] || echo "its time is over"
			printf -- '--- %s: FAILED (%d), %d s\n' "$name" $rc $((SECONDS - began))
		fi
	done
	if [ ${#failed[@]} -gt 0 ]; then
		printf '\nFAILED after %d s: %s\n' "$SECONDS" "${failed[*]}"
		exit 1
	fi
}

# part_prepare gets what the other parts need and compiles it, so that their
# slices can be short. With warm caches it takes seconds.
part_prepare() {
	if ! command -v gcc >/dev/null; then # for the race detector
		local sudo=
		[ "$(id -u)" = 0 ] || sudo="sudo -n"
		$sudo apt-get update -q
		DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy gcc libc6-dev
	fi
	if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! command -v postgres >/dev/null; then # for the tests of fence
		local sudo=
		[ "$(id -u)" = 0 ] || sudo="sudo -n"
		DEBIAN_FRONTEND=noninteractive timeout 120 $sudo apt-get install -qy --no-install-recommends postgresql ||
			echo "PostgreSQL cannot be installed here; its tests are skipped"
	fi
	go version
	go mod download
	(cd tools && go mod download)
	(cd fence/sqltest && go mod download)
	# What tidy alone needs: tests of tests. Its judgement is another part's.
	go mod tidy -diff >/dev/null 2>&1 || true
	(cd tools && go mod tidy -diff >/dev/null 2>&1) || true
	(cd fence/sqltest && go mod tidy -diff >/dev/null 2>&1) || true
	for tool in staticcheck buf protoc-gen-go-grpc grpcurl; do
		go tool -modfile=tools/go.mod -n "$tool" >/dev/null
	done
	go build ./...
	# What vet has to find out about all that is imported; its judgement is another part's.
	for os in "$(go env GOOS)" darwin windows; do
		GOOS=$os go vet ./... >/dev/null 2>&1 || true
	done
	go test -run '^$' ./... >"$tmp/compile" || { cat "$tmp/compile"; return 1; }
	(cd fence/sqltest && go test -run '^$' ./... >"$tmp/compile") || { cat "$tmp/compile"; return 1; }
	go test -race -run '^$' ./... >"$tmp/compile" || { cat "$tmp/compile"; return 1; }
	fuzz_targets | sort -u -k 1,1 | while read -r pkg name; do
		go test -run '^$' -fuzz "^$name\$" -fuzztime 1x "$pkg" >/dev/null
	done
	echo "everything is downloaded and compiled"
}

# fuzz_targets prints "PACKAGE TARGET" for each fuzz target of the module.
fuzz_targets() {
	go test -list '^Fuzz' ./... >"$tmp/list" || { cat "$tmp/list" >&2; return 1; }
	awk '/^Fuzz/ { names[n++] = $1 }
		/^(ok|\?)/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }' "$tmp/list"
}

# fuzz COUNT tries every fuzz target with that many inputs. A number, not a
# time: at the end of a time Go 1.26 may fail without cause (golang/go#75804).
fuzz() {
	local pkg name
	fuzz_targets >"$tmp/targets"
	while read -r pkg name; do
		echo "$name, $1 inputs"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$1x" "$pkg" </dev/null || {
			find . -path '*/testdata/fuzz/*' -type f -newer "$tmp/targets" -exec head -c 4096 {} +
			return 1
		}
	done <"$tmp/targets"
}

# algorithms lists the algorithms that there are, as the command completes them.
algorithms() { go run ./cmd/conch __complete peer --algorithm '' 2>/dev/null | grep -v '^:'; }

# demo CONCH PEERS ALGORITHM [FLAG...] runs a demo and has its traces checked.
# CONCH is a command, in one word.
demo() {
	local conch=$1 peers=$2 algorithm=$3 dir
	shift 3
	dir=$(mktemp -d "$tmp/demo.XXXXXX")/run
	printf '\n$ conch demo --peers %s --algorithm %s %s\n' "$peers" "$algorithm" "$*"
	$conch demo --peers "$peers" --algorithm "$algorithm" --dir "$dir" "$@" && $conch check "$dir" || {
		echo "the demo with $peers peers and $algorithm is not sound; the ends of its logs:"
		tail -n 20 "$dir"/*.log
		return 1
	}
	rm -r "$dir"
}
