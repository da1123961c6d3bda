# Turns what `go test -bench -benchmem` prints into a table.
/^pkg: / { sub(".*/backend/", ""); package = $0 }
/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)
	time = $3
	unit = "ns"
	if (time >= 1e6) { time /= 1e6; unit = "ms" }
	else if (time >= 1e3) { time /= 1e3; unit = "µs" }
	bytes = allocations = "-"
	for (i = 4; i < NF; i++) {
		if ($(i + 1) == "B/op") bytes = $i
		if ($(i + 1) == "allocs/op") allocations = $i
	}
	if (!head++) printf "%-12s %-36s %14s %14s %14s\n", "package", "benchmark", "time", "bytes", "allocations"
	printf "%-12s %-36s %11.2f %s %14s %14s\n", package, name, time, unit, bytes, allocations
}
/^(FAIL|panic|---)/ { print }
