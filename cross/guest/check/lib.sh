# shellcheck shell=sh
# A check is a script of sentences: `that SENTENCE COMMAND…` passes when COMMAND succeeds, and prints what COMMAND printed
# when it does not. The number before a sentence is the time since boot, in seconds. `finish` prints the count, which is
# what cross/test reads.
passed=0
failed=0

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

# soon COMMAND…: succeeds when COMMAND does within 5 s; prints what its last try printed.
soon() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
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
