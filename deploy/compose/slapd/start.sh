#!/bin/sh
# Fill the directory with the sample people once, serve.
set -eu
: "${LDAP_PASSWORD:?is missing}"
umask 077
printf 'rootpw %s\n' "$(slappasswd -s "$LDAP_PASSWORD")" > /run/slapd/rootpw.conf
if [ ! -e /var/lib/ldap/data.mdb ]; then
    slapadd -f /etc/penstock-ldap/slapd.conf -l /etc/penstock-ldap/directory.ldif
fi
exec slapd -f /etc/penstock-ldap/slapd.conf -h ldap://0.0.0.0:1389 -d 0
