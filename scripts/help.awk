# Prints the targets of a Makefile with the text after their two hashes, under the headings after ##@.
BEGIN { FS = ":.*## " }
/^##@ / { printf "%s%s\n", separator, substr($0, 5); separator = "\n" }
/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $1, $2 }
