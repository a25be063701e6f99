# shellcheck shell=bash disable=SC2034 # the variables are for the scripts that read this file
# What the scripts of cross/ share: where things are cached, how Debian's packages of any suite and architecture are had,
# and the table of targets.
#
# Everything comes from Debian's mirror, through apt states of their own beside the host's: no `dpkg --add-architecture`,
# no foreign package installed, no cross compiler. Nothing is ever fetched by rustup. What is downloaded is kept by its
# version in $XDG_CACHE_HOME/netcell, so that a second run needs no network; removing that folder is always safe.

set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

cross=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(dirname "$cross")
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/netcell
# The targets of a release; s390x, which is big-endian, is for the tests, and mipsel needs what Debian has not.
released=(x86_64 aarch64 armv7 arm riscv64gc)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# fail SENTENCE: says it and ends with status 1.
fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need PROGRAM:PACKAGE…: fails with one sentence that names the packages of the programs that are not there.
need() {
    local pair missing=()
    for pair; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} = 0 ] || fail "not installed: ${missing[*]} (apt-get install --no-install-recommends ${missing[*]})"
}

# allowed KEY: the number that budget.toml has under it, in the last line of it.
allowed() { sed -n "s/^$1 = \([0-9]*\)$/\1/p" "$cross/budget.toml" | tail -n 1; }

# seconds: time since the script began, for messages.
seconds() { echo "$SECONDS s"; }

# describe TARGET: sets, for a Rust target or the first word of one, `target`, `debian` (Debian's name of the architecture),
# `musl` (its musl triple), `libgcc` (the package with libgcc_eh.a), `ports` (the suite that has its musl-dev) and
# `linker`, where it is another than rust-lld; and `board`, as `debian` for what the file is booted with: for armel Debian has no
# kernel of a machine that QEMU has, and newer ARM executes what older does.
describe() {
    ports=bookworm linker=
    case $1 in
    x86_64 | x86_64-unknown-linux-musl)
        target=x86_64-unknown-linux-musl debian=amd64 musl=x86_64-linux-musl libgcc=libgcc-12-dev
        ;;
    aarch64 | aarch64-unknown-linux-musl)
        target=aarch64-unknown-linux-musl debian=arm64 musl=aarch64-linux-musl libgcc=libgcc-12-dev-arm64-cross
        ;;
    armv7 | armv7-unknown-linux-musleabihf)
        target=armv7-unknown-linux-musleabihf debian=armhf musl=arm-linux-musleabihf libgcc=libgcc-12-dev-armhf-cross
        ;;
    arm | arm-unknown-linux-musleabi)
        target=arm-unknown-linux-musleabi debian=armel musl=arm-linux-musleabi libgcc=libgcc-12-dev-armel-cross
        ;;
    riscv64gc | riscv64gc-unknown-linux-musl)
        target=riscv64gc-unknown-linux-musl debian=riscv64 musl=riscv64-linux-musl libgcc=libgcc-12-dev-riscv64-cross
        ports=sid
        ;;
    s390x | s390x-unknown-linux-musl)
        target=s390x-unknown-linux-musl debian=s390x musl=s390x-linux-musl libgcc=libgcc-12-dev-s390x-cross
        ;;
    mipsel | mipsel-unknown-linux-musl)
        target=mipsel-unknown-linux-musl debian=mipsel musl='' libgcc='' linker=$cross/zig
        ;;
    *) fail "$1: not one of ${released[*]}, s390x, mipsel (or the full name of its musl target)" ;;
    esac
    board=${debian/armel/armhf}
}

# debian SUITES ARCH COMMAND ARG…: apt-get or apt-cache COMMAND on Debian's SUITES (comma-separated) for ARCH.
# The mirror is the one the host uses. Lists are fetched once a day.
debian() {
    local suites=$1 arch=$2 command=$3 state=$cache/apt/${1//,/+}-$2 mirror suite tool=apt-get
    shift 3
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    : >>"$state/status"
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '/\/debian\/?$/ { uri = $0 } END { print uri }')
    [ -n "$mirror" ] || fail "no mirror of Debian among apt's sources"
    mirror=${mirror%/}
    for suite in ${suites//,/ }; do
        case $suite in
        *-security) echo "deb [arch=$arch signed-by=$keyring] $mirror-security $suite main" ;;
        *) echo "deb [arch=$arch signed-by=$keyring] $mirror $suite main" ;;
        esac
    done >"$state/sources.list"
    local option=(-qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$state"
        -o Dir::State::status="$state/status" -o Dir::Cache="$state" -o APT::Architecture="$arch"
        -o APT::Architectures="$arch" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
    if [ -z "$(find "$state/updated" -mtime -1 2>/dev/null)" ]; then
        # A mirror in the middle of its own update has some lists and not others: what is wanted may be in those.
        # It ends well with old lists, or none, unless told that each failure is one.
        if apt-get "${option[@]}" -o APT::Update::Error-Mode=any update >&2; then
            touch "$state/updated"
        else
            echo "${0##*/}: goes on with those lists of $suites for $arch that could be read" >&2
        fi
    fi
    case $command in
    show | madison | depends) tool=apt-cache ;;
    esac
    "$tool" "${option[@]}" "$command" "$@"
}

# package SUITES ARCH NAME[=VERSION] FOLDER [PATH…]: unpacks the package, or those paths of it, below FOLDER.
# It is downloaded only once.
package() {
    local suites=$1 arch=$2 name=$3 folder=$4 pool=$cache/pool/${1//,/+}-$2 file
    mkdir -p "$pool" "$folder"
    file=$(find "$pool" -name "${name/=/_}_*.deb" | sort | tail -n 1)
    if [ -z "$file" ]; then
        if ! (cd "$pool" && debian "$suites" "$arch" download "$name" >&2); then
            # The mirror may have a newer one than the lists of this morning.
            rm -f "$cache/apt/${1//,/+}-$2/updated"
            (cd "$pool" && debian "$suites" "$arch" download "$name" >&2) || fail "cannot download $name of $suites for $arch"
        fi
        file=$(find "$pool" -name "${name/=/_}_*.deb")
    fi
    dpkg-deb --fsys-tarfile "$file" | tar -x -C "$folder" "${@:5}"
}

# std_source: prints the library/ folder of the source of rustc's own version: rustup's rust-src if it is there,
# else the one of Debian's package, which is looked for in the suites that may have it.
std_source() {
    local version folder place suite name found
    version=$(rustc -V | cut -d' ' -f2)
    folder=usr/src/rustc-$version
    for place in "$(rustc --print sysroot)/lib/rustlib/src/rust" "/$folder" "$cache/$folder"; do
        if [ -e "$place/library/Cargo.lock" ]; then
            echo "$place/library"
            return
        fi
    done
    command -v apt-get >/dev/null || fail "no source of std: run 'rustup component add rust-src'"
    for place in trixie-backports:rust-src bookworm-security:rust-web-src trixie-security:rust-web-src \
        forky:rust-src sid:rust-src experimental:rust-src; do
        suite=${place%:*} name=${place#*:}
        found=$(debian "$suite" amd64 madison "$name" | awk -v version="$version+" 'index($3, version) == 1 { found = $3 } END { print found }')
        [ -n "$found" ] || continue
        # Renamed when it is whole.
        package "$suite" amd64 "$name=$found" "$cache/unpack.$$" "./$folder/library"
        mkdir -p "$cache/usr/src"
        mv "$cache/unpack.$$/$folder" "$cache/$folder"
        rm -r "$cache/unpack.$$"
        echo "$cache/$folder/library"
        return
    done
    fail "Debian has no source of rust $version: run 'rustup component add rust-src', or install Debian's" \
        "rustc-web, cargo-web, rust-web-src and lld and build with those"
}

# has_std TARGET: whether rustc links a program for TARGET, that is: std, C library and unwinder are there and of its version.
has_std() {
    local scratch status=0
    scratch=$(mktemp -d)
    echo 'fn main() { println!() }' >"$scratch/main.rs"
    rustc --target "$1" -Clinker=rust-lld -Ctarget-feature=+crt-static -o "$scratch/main" "$scratch/main.rs" 2>/dev/null || status=1
    rm -r "$scratch"
    return $status
}

# want_std: fails with a sentence where rustc cannot link for $target.
want_std() {
    if [ -n "$linker" ]; then
        python3 -m ziglang version >/dev/null 2>&1 || fail "$target needs zig as its linker: pip install ziglang"
        return
    fi
    has_std "$target" ||
        fail "rustc has no std for $target: run 'rustup target add $target', or 'cross/std $target' where rustup cannot fetch it"
}

# make_binary FOLDER SOURCE [OPTION…]: builds $target of the project in FOLDER with the std in SOURCE, with the ready-made one
# where that is empty; rustc gets the OPTIONs for the last step. The binary is left in FOLDER/target/$target/release. The path
# of std enters the names of its symbols, and so their order in the file: therefore it is the same on every machine, that
# of a descriptor which cargo and rustc inherit.
make_binary() {
    local folder=$1 source=/proc/self/fd/9/library
    local flags=(--remap-path-prefix="$folder=netcell" --remap-path-prefix="$cargo_home=cargo"
        --remap-path-prefix="$(rustc --print sysroot)=rust")
    local options=() last=() spec=$target symbols order
    if [ -n "$2" ]; then
        exec 9<"${2%/library}"
        flags+=(--remap-path-prefix="$source=rust" -Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none
            -Zfmt-debug=none -Cforce-unwind-tables=no)
        # What is had ready before it is needed, or kept because it may be needed again, takes registers, and what those held goes
        # to the stack and back: 20 KB on x86_64, 7 KB in Thumb-1. So LLVM has everything worked out where it is needed.
        flags+=("-Cllvm-args=-opt-disable=licm,early-machinelicm,machinelicm,gvn,machine-cse" -Cllvm-args=-disable-lsr
            -Cllvm-args=-split-spill-mode=size)
        # Equal pieces of functions become one (some 3 %; LLVM does so by itself for arm64), and equal functions too. At a fixed
        # address nothing is relocated, so there is nothing to make read-only after that: RELRO would only be a second
        # writable segment, whose first page is copied at every start.
        # Without unwind tables nothing reads the header of those; -O2 lets strings that end alike be one.
        # Functions that differ in nothing but constants become one that is handed them: 1 to 3 KB.
        last=(-Cllvm-args=-enable-machine-outliner=always -Cllvm-args=-enable-global-merge-func -Clink-arg=--icf=all
            -Crelro-level=off -Clink-arg=-O2 -Clink-arg=--no-eh-frame-hdr -Clink-arg=-T "-Clink-arg=$cross/layout.ld")
        # What lies within 128 bytes below the frame pointer is named by a byte less than what lies above the stack's: 13 KB.
        # A function whose own frame has some hundred bytes is not made part of another's for that: 2 KB.
        if [ "$debian" = amd64 ]; then
            flags+=(-Cforce-frame-pointers=non-leaf -Cllvm-args=-inline-max-stacksize=400)
        fi
        # A table of fewer than eight places to jump to is larger than the comparisons in its place: 2 KB there, 0.3 here.
        case $debian in
        amd64 | arm64 | armel) last+=(-Cllvm-args=-min-jump-table-entries=8) ;;
        esac
        # zig folds nothing, and rustc has to leave the C library to it.
        if [ -n "$linker" ]; then
            last=()
            flags+=(-Ctarget-feature=+crt-static -Clink-self-contained=no)
            options+=(--config "target.$target.linker='$linker'")
        fi
        # Pages of 32-bit ARM have 4 KiB, always: the linker's 64 would cost the file as much between two segments, or nothing, as
        # their ends happen to fall; and so may a page.
        case $debian in
        armhf | armel) last+=(-Clink-arg=-z -Clink-arg=max-page-size=4096) ;;
        esac
        # Thumb-2, and ARMv6K's Thumb-1, are a quarter smaller than the 32-bit instructions that are the targets' default.
        case $debian in
        armhf | armel) flags+=(-Ctarget-feature=+thumb-mode) ;;
        esac
        if [ "$debian" = armel ]; then
            spec=$folder/target/$target.json
            mkdir -p "$folder/target"
            thumb1 >"$spec"
            options+=(-Zjson-target-spec)
        fi
        options+=("-Zbuild-std=std,panic_abort" -Zbuild-std-features=optimize_for_size)
        export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$source
    fi
    if [ -n "$2" ] && [ -z "$linker" ]; then
        link "${last[@]}" -Cstrip=none
        symbols=$(layout "$folder/target/$target/release/netcell")
        # By its content's name: cargo does not look into it when it decides what is fresh.
        order=$folder/target/$target/layout-$(sha256sum <<<"$symbols" | cut -c1-16)
        echo "$symbols" >"$order"
        last+=("-Clink-arg=--symbol-ordering-file=$order" -Clink-arg=--no-warn-symbol-ordering)
    fi
    link "${last[@]}" "${@:3}"
}

# thumb1: $target as rustc knows it, but of ARMv6K, whose two sets of instructions may call each other: Thumb-1 has no atomic
# instructions, and compiler_builtins brings them for ARMv6K alone (its sync/thumbv6k.rs), in the other set, up to 32 bits.
# Linux lets ARMv6 and newer load and store words at any address (alignment_init in arch/arm/mm/alignment.c), which GCC makes use
# of for ARMv6 and LLVM does not unless told: byte by byte the file is 6 KB larger.
thumb1() {
    local description change
    description=$(RUSTC_BOOTSTRAP=1 rustc -Zunstable-options --print target-spec-json --target "$target" |
        sed -e 's/"llvm-target": "arm-/"has-thumb-interworking": true, "llvm-target": "armv6k-/' \
            -e 's/"+strict-align,+v6"/"+v6k"/' -e 's/"max-atomic-width": 64/"max-atomic-width": 32/')
    for change in '"has-thumb-interworking": true, "llvm-target": "armv6k-' '"+v6k"' '"max-atomic-width": 32'; do
        [[ $description == *"$change"* ]] ||
            fail "rustc describes $target otherwise than thumb1 of cross/lib.sh expects: $change did not get into it"
    done
    echo "$description"
}

# link OPTION…: cargo, with what make_binary has set. The flags go as configuration, so that they join the rustflags of
# .cargo/config.toml and do not replace them, as RUSTFLAGS does.
link() {
    (cd "$folder" && env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS cargo rustc --locked --release --bin netcell --target "$spec" \
        --target-dir "$folder/target" --config "target.$target.rustflags=[$(printf '"%s",' "${flags[@]}")]" "${options[@]}" -- "$@")
}

# layout FILE: the symbols of functions and variables in FILE as they are to follow each other: those that cross/first names,
# and then those that cross/cold does.
layout() {
    local symbols patterns
    # Where a program begins is written in assembler, and said to be nothing in particular.
    symbols=$(readelf -sW "$1" | awk '$4 == "FUNC" || $4 == "OBJECT" || $8 == "_start" { print $2, $8 }' | sort | cut -d' ' -f2)
    for patterns in first cold; do
        c++filt <<<"$symbols" | sed 's/\[[0-9a-f]*\]//g' | paste - <(echo "$symbols") | awk -F'\t' '
            NR == FNR { if (!/^#/) pattern = pattern (pattern ? "|" : "") $0; next }
            $1 ~ pattern { print $2 }' "$cross/$patterns" -
    done | awk '!seen[$0]++'
}
