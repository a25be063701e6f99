# shellcheck shell=sh disable=SC2034 # some variables are for the checks that read this file
# A check is a script of sentences: `that SENTENCE COMMAND…` passes when COMMAND succeeds, and prints what COMMAND printed
# when it does not. The number before a sentence is the time since boot, in seconds. `finish` prints the count, which is
# what cross/test reads.
passed=0
failed=0

# What the image alpine has as /page.
served='served by the image'

up() { cut -d' ' -f1 /proc/uptime; }

that() {
    sentence=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        passed=$((passed + 1))
        echo "ok   $(up) $sentence"
    else
        failed=$((failed + 1))
        echo "FAIL $(up) $sentence [$*]"
        sed 's/^/      /' /tmp/said
    fi
}

finish() {
    echo "$passed passed, $failed failed"
}

# not COMMAND…: succeeds when COMMAND fails.
not() { ! "$@"; }

# prints TEXT COMMAND…: succeeds when COMMAND's whole output is TEXT.
prints() {
    text=$1
    shift
    said=$("$@")
    [ "$said" = "$text" ] || {
        echo "$said"
        echo "instead of: $text"
        return 1
    }
}

# has TEXT COMMAND…: succeeds when COMMAND's output has TEXT in it.
has() {
    text=$1
    shift
    said=$("$@")
    case $said in
    *"$text"*) ;;
    *)
        echo "$said"
        echo "without: $text"
        return 1
        ;;
    esac
}

# refuses TEXT COMMAND…: succeeds when COMMAND fails, prints nothing on stdout, and its last line on stderr has TEXT in it. Before
# that there may be notes, of what a first use changes and of what the kernel lacks.
refuses() {
    words=$1
    shift
    if "$@" >/tmp/stdout 2>/tmp/stderr; then
        echo "it succeeded"
        return 1
    fi
    prints '' cat /tmp/stdout && has "$words" tail -n 1 /tmp/stderr
}

# soon COMMAND…: succeeds when COMMAND does within half a minute, which is what a board on a busy machine may
# need; prints what its last try printed.
soon() {
    for _ in $(seq 60); do
        if "$@" >/tmp/tried 2>&1; then
            cat /tmp/tried
            return
        fi
        sleep 0.5
    done
    cat /tmp/tried
    return 1
}

# fetch ADDRESS: what a web server there has for /page. (The -T of Debian's busybox wget crashes.)
fetch() { timeout 5 wget -q -O - "http://$1/page"; }

# from_outside: what the machine that runs QEMU gets for /page from port 8080 of the board.
from_outside() { timeout 5 nc 10.0.2.100 80 </dev/null; }

# in_pin NAME COMMAND…: COMMAND in the namespace pinned by that name, entered without netcell.
in_pin() {
    pin=$1
    shift
    nsenter --net="/run/netns/$pin" "$@"
}

# address NAME: the IPv4 address of eth0 in that sandbox.
address() { in_pin "$1" ip -4 -o addr show dev eth0 | sed 's|.*inet \([0-9.]*\)/.*|\1|'; }

# snapshot: what rm must leave as it was.
snapshot() {
    ip -o link | cut -d: -f2
    ip -o addr | cut -d: -f2
    ip route
    ip -6 route
    cat /proc/mounts
    # A first use makes what stays: folders of records, and the note that forwarding was turned on.
    find /run ! -path '/run/netcell/networks*' ! -path /run/netcell/ports ! -path /run/netcell/forwarding ! -path /run/netcell/reconcile | sort
    find /proc -maxdepth 2 -name exe -exec readlink {} \; 2>/dev/null | grep netcell
}

# remember: what as_before compares with, when the kernel has seen off the links of what was removed before.
remember() {
    soon no_leaving >/dev/null
    snapshot >/tmp/before
}

no_leaving() { ! ip -o link | grep -q ': nc[0-9a-f]*@'; }

# as_before: whether nothing is left of what was made since `remember`.
as_before() {
    snapshot >/tmp/after
    diff /tmp/before /tmp/after
}

is_id() { echo "$1" | grep -qE '^[0-9a-f]{64}$'; }
