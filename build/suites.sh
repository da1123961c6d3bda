#!/usr/bin/env bash
# Runs make targets one after the other, goes on where one fails, and ends with
# a table of how each went. Fails if any did.
#
#   MAKE=make build/suites.sh lint test-go …
set -uo pipefail

results=()
failed=0
started=$SECONDS
for suite in "$@"; do
	printf '\n── %s\n' "$suite"
	began=$SECONDS
	if "${MAKE:-make}" "$suite"; then
		outcome=passed
	else
		outcome=FAILED
		failed=$((failed + 1))
	fi
	results+=("$(printf '  %-15s %s  %4d s' "$suite" "$outcome" $((SECONDS - began)))")
done

printf '\n── Summary\n'
printf '%s\n' "${results[@]}"
printf '  %-15s         %4d s\n' total $((SECONDS - started))
if [ "$failed" -gt 0 ]; then
	echo "$failed of $# failed."
	exit 1
fi
echo "All $# passed."
