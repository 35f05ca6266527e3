#!/usr/bin/env bash
# Install what the local stack and the tests need besides Python: Java 17 or newer, Maven, Samba, the
# two libraries that the SQL Server driver loads when it connects (its wheel brings the rest), a
# directory server, a proxy, promtool, rclone, kcat and a browser.
# As root through apt-get; otherwise it names the packages. Silent when nothing is missing.
# With --without-samba, a missing Samba is said and accepted: a plain folder takes the share's place.
set -euo pipefail

OLDEST_JAVA=17
# smbd and ldconfig lie where users who are not root do not look.
PATH="$PATH:/usr/sbin:/usr/local/sbin"

java_is_new_enough() {
    local java=java version
    [ -z "${JAVA_HOME:-}" ] || java="$JAVA_HOME/bin/java"
    command -v "$java" > /dev/null || return 1
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
    [ "${version:-0}" -ge "$OLDEST_JAVA" ]
}

# Not every release has every Java: Debian 12 has 17, Debian 13 has 21 and 25.
java_package() {
    local version
    for version in "$OLDEST_JAVA" 21 25; do
        if apt-cache show "openjdk-$version-jre-headless" > /dev/null 2>&1; then
            echo "openjdk-$version-jre-headless"
            return
        fi
    done
    echo default-jre-headless
}

has_library() {
    [[ "$(ldconfig -p 2> /dev/null)" == *"$1 "* ]]
}

missing_packages() {
    java_is_new_enough || java_package
    command -v mvn > /dev/null || echo maven
    has_library libltdl.so.7 || echo libltdl7
    has_library libgssapi_krb5.so.2 || echo libgssapi-krb5-2
    [ "$can_do_without_samba" = no ] || return 0
    { command -v smbd && command -v pdbedit; } > /dev/null || echo samba
    command -v smbclient > /dev/null || echo smbclient
    command -v slapd > /dev/null || echo slapd # for the tests of directories
    command -v ldapmodify > /dev/null || echo ldap-utils
    command -v squid > /dev/null || echo squid # for the tests of corporate proxies
    command -v ntlm_auth > /dev/null || echo winbind # which checks the users of such a proxy
    command -v promtool > /dev/null || echo prometheus # for the tests of alert rules
    command -v amtool > /dev/null || echo prometheus-alertmanager # for the tests of its example
    command -v rclone > /dev/null || echo rclone # for the backup of the mirror
    command -v kcat > /dev/null || echo kcat # for the tests of commands by any Kafka client
    command -v chromium > /dev/null || echo chromium # for the tests of the console
}

# The stack runs a Samba of its own on a loopback port, and tests run a directory and a proxy of
# theirs. The packages must not start others that offer home folders, an empty directory or a way
# out to the network.
keep_services_down() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
        # shellcheck disable=SC2064 # the present value is meant
        trap "rm -f '$policy'" EXIT
    fi
}

install() {
    local with_services=no
    case " $* " in *" samba "* | *" slapd "* | *" prometheus"* | *" squid "* | *" winbind "*) with_services=yes ;; esac
    [ "$with_services" = no ] || keep_services_down
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" > /dev/null
    if [ "$with_services" = yes ] && command -v systemctl > /dev/null; then
        systemctl disable --quiet smbd nmbd slapd squid winbind prometheus \
            prometheus-alertmanager 2> /dev/null || true
    fi
}

can_do_without_samba=no
# Only who cannot install it goes without.
if [ "${1:-}" = --without-samba ] && { [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; }; then
    can_do_without_samba=yes
fi

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get > /dev/null; then
    echo "Penstock needs Java $OLDEST_JAVA or newer, Maven, libltdl, the Kerberos libraries and Samba;" \
        "this machine has no apt-get, so install them with its own package manager." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "Penstock needs Debian packages that are missing; install them with:" \
        "sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

apt-get update -qq
mapfile -t missing < <(missing_packages) # again: only now is it known which Java there is
echo "Installing ${missing[*]}" >&2
install "${missing[@]}"
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "apt-get ended without an error, but these are still missing: ${missing[*]}" >&2
    exit 1
fi
