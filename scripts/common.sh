# Shared by the scripts beside it: where things are on Debian, Fedora and macOS. Sourced, never run.
# shellcheck shell=bash

# The one folder outside the clone that holds what is costly to get again: build output, Kafka's jars. The Makefile says the same.
cache_dir() {
    printf '%s\n' "${AQUEDUCT_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/aqueduct}"
}

# Prints the path of a Java of at least version 17. The one in PATH may be older than another that is installed as well, and
# Homebrew's is in no PATH at all.
find_java() {
    local java version
    for java in "${JAVA_HOME:-/nowhere}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java \
        /opt/homebrew/opt/openjdk*/bin/java /usr/local/opt/openjdk*/bin/java; do
        [ -x "$java" ] || continue
        # macOS has a /usr/bin/java that only says that there is none: hence the test of what it prints.
        version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${version:-0}" -ge 17 ]; then
            printf '%s\n' "$java"
            return
        fi
    done
    return 1
}

# Prints the folder of PostgreSQL's server programs: Debian and Homebrew keep them out of PATH.
find_postgres() {
    local dir
    for dir in "$(dirname "$(command -v postgres || echo /nowhere/postgres)")" "$(pg_config --bindir 2>/dev/null || true)" \
        /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /opt/homebrew/bin /usr/local/bin; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            printf '%s\n' "$dir"
            return
        fi
    done
    return 1
}
